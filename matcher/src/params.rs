//! Every tuned constant: its unit and where it comes from.
//!
//! Lengths are pixels at 500 dpi unless said otherwise. "Paper" is the published value of the method
//! named; "swept" means chosen by error rates on NT_CrossMatch and FVC2002_DB1_B / DB3_B and checked
//! on FVC2002_DB2_B / DB4_B.

/// Side of the cells that mask, orientation and period live on.
pub(crate) const CELL: usize = 4;

/// Mask: blur of the gradient magnitude (GMFS, Cappelli).
pub(crate) const MASK_SIGMA: f32 = 13.0 / 3.0;
/// Mask: share of the 95th percentile of gradient magnitude that is still a finger (GMFS).
pub(crate) const MASK_THRESHOLD: f32 = 0.2;
/// Mask: closing and opening in cells (GMFS: 6 and 12 pixels).
pub(crate) const MASK_CLOSING: usize = 2;
/// See [`MASK_CLOSING`].
pub(crate) const MASK_OPENING: usize = 3;
/// Mean gradient magnitude in grey levels below which an image is blank.
pub(crate) const BLANK_GRADIENT: f32 = 6.0;
/// Least area of a usable print: a circle of 100 pixels across.
pub(crate) const LEAST_AREA: f32 = 7850.0;

/// Contrast: window of the local mean and deviation.
pub(crate) const CONTRAST_SIGMA: f32 = 14.0;

/// Orientation: widest smoothing (GBFOE: sigma = 43 (1 - coherence)).
pub(crate) const ORIENTATION_SIGMA: f32 = 43.0;
/// Orientation: bounds of the smoothing.
pub(crate) const ORIENTATION_SIGMA_BOUNDS: (f32, f32) = (7.0, 20.0);
/// Orientation: smoothing at which coherence is judged (GBFOE: 27).
pub(crate) const COHERENCE_SIGMA: f32 = 27.0;

/// Period: distance between estimates.
pub(crate) const PERIOD_STEP: usize = 16;
/// Period: half length of the window across the ridges (XSFFE: 43 / 2).
pub(crate) const PERIOD_ACROSS: i32 = 24;
/// Period: half width of the window along the ridges (XSFFE: 23 / 2).
pub(crate) const PERIOD_ALONG: i32 = 10;
/// Shortest and longest ridge period of a finger (XSFFE: 5 to 20).
pub(crate) const PERIOD_BOUNDS: (f32, f32) = (4.0, 18.0);
/// Median periods outside this mean a wrong resolution: adult fingers have 8 to 12, children's from 6.
pub(crate) const PLAUSIBLE_PERIOD: (f32, f32) = (5.5, 15.0);
/// Period: least autocorrelation that counts.
pub(crate) const PERIOD_CONFIDENCE: f32 = 0.25;

/// Enhancement: number of orientations over half a turn.
pub(crate) const GABOR_ORIENTATIONS: usize = 32;
/// Enhancement: number of periods over [`PERIOD_BOUNDS`], evenly spaced.
pub(crate) const GABOR_PERIODS: usize = 15;
/// Enhancement: sigma across the ridges in periods (GBFEN: 5/12).
pub(crate) const GABOR_ACROSS: f32 = 5.0 / 12.0;
/// Enhancement: sigma along the ridges in periods.
pub(crate) const GABOR_ALONG: f32 = 0.55;

/// Minutiae: distance from the edge of the mask (SBMEX: 10).
pub(crate) const BORDER: f32 = 10.0;
/// Minutiae: a branch is followed so far for its direction (SBMEX: 5 to 20).
pub(crate) const TRACK: usize = 20;
/// Minutiae: a branch shorter than this has no direction (SBMEX: 5).
pub(crate) const TRACK_LEAST: usize = 5;
/// Minutiae: ridge and valley minutiae are one within this distance and angle (SBMEX: 6 px, 30 deg).
pub(crate) const DUAL_DISTANCE: f32 = 7.0;
/// See [`DUAL_DISTANCE`]; degrees.
pub(crate) const DUAL_ANGLE: f32 = 30.0;
/// Minutiae: quality of one that only one skeleton shows (SBMEX: 0.5).
pub(crate) const UNPAIRED: f32 = 0.5;
/// Minutiae: reach of the penalty for crowding (SBMEX: 11).
pub(crate) const CROWD_SIGMA: f32 = 11.0;
/// Minutiae: least quality kept (SBMEX: 0.3).
pub(crate) const LEAST_QUALITY: f32 = 0.3;
/// Fewer tell no finger from another.
pub(crate) const LEAST_MINUTIAE: usize = 8;
