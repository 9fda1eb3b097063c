//! Rows that no sensor ever sees: black from edge to edge, which is what memory looks like that
//! was never written. A frame with a quarter of them arrived in part, whatever its length says.

use crate::sensor::SensorError;

/// Refuses frames of which a quarter or more is dead.
pub(crate) fn refuse_dead(pixels: &[u8], width: usize) -> Result<(), SensorError> {
    let rows = pixels.chunks_exact(width.max(1));
    let count = rows.len();
    let dead = rows.filter(|row| row.iter().all(|pixel| *pixel == 0)).count();
    if dead * 4 >= count {
        return Err(SensorError::BadFrame(format!("{dead} of {count} rows are black")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_dark_rows_pass_and_a_quarter_does_not() {
        let mut pixels = vec![9; 64 * 64];
        pixels[..64 * 15].fill(0);
        assert_eq!(refuse_dead(&pixels, 64), Ok(()));
        pixels[..64 * 16].fill(0);
        assert!(matches!(refuse_dead(&pixels, 64), Err(SensorError::BadFrame(_))));
    }
}
