//! What readers and the people at them make of fingers, set by set: how large the contact is and where, how many minutiae
//! are found on it and how clear they are.
//!
//! Fitted on FVC2002 DB1 to DB4 set B and NT_CrossMatch, all impressions, as the matcher extracts them: means and
//! deviations over impressions, and of fingers where it says so.

/// One reader. Lengths in pixels at 500 dpi.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// The set that it was fitted on.
    pub(crate) set: &'static str,
    /// Fingers of that set: how often it is used where nothing else is said.
    pub(crate) fingers: u32,
    pub(crate) size: (u16, u16),
    /// Where the middle of the contact lies on the reader, and its deviation.
    pub(crate) centre: (f32, f32),
    pub(crate) shift: (f32, f32),
    /// Half width and half height of the contact, and their deviations as a share.
    pub(crate) reach: (f32, f32),
    pub(crate) reach_spread: (f32, f32),
    /// Out to this share of the contact the flow is clear.
    pub(crate) clear: f32,
    /// Minutiae of a finger on 10,000 square pixels, and its deviation from finger to finger as a share.
    pub(crate) density: f32,
    pub(crate) density_spread: f32,
    /// Deviation of what a press misses besides, as a share.
    pub(crate) poor: f32,
    /// How much neighbours have to say about which way a minutia runs.
    pub(crate) say: f32,
    /// How surely ridges begin where the others spread.
    pub(crate) spread: f32,
    /// Ridge period, and its deviation from finger to finger.
    pub(crate) period: (f32, f32),
    /// Quality of minutiae: mean, deviation of fingers, of impressions, and within an impression.
    pub(crate) quality: [f32; 4],
}

pub(crate) const READERS: [Reader; 5] = [
    Reader {
        set: "FVC2002_DB1_B",
        fingers: 10,
        size: (388, 374),
        centre: (194.0, 196.0),
        shift: (22.0, 35.0),
        reach: (128.0, 188.0),
        reach_spread: (0.13, 0.12),
        clear: 0.98,
        density: 7.2,
        density_spread: 0.13,
        poor: 0.20,
        say: 0.28,
        spread: 1.0,
        period: (8.5, 0.5),
        quality: [57.0, 6.0, 6.5, 19.0],
    },
    Reader {
        set: "FVC2002_DB2_B",
        fingers: 10,
        size: (260, 492),
        centre: (128.0, 262.0),
        shift: (13.0, 50.0),
        reach: (136.0, 205.0),
        reach_spread: (0.11, 0.14),
        clear: 0.98,
        density: 7.7,
        density_spread: 0.12,
        poor: 0.17,
        say: 0.36,
        spread: 1.0,
        period: (8.6, 0.6),
        quality: [58.0, 5.0, 7.0, 20.0],
    },
    Reader {
        set: "FVC2002_DB3_B",
        fingers: 10,
        size: (300, 300),
        centre: (148.0, 150.0),
        shift: (12.0, 12.0),
        reach: (146.0, 168.0),
        reach_spread: (0.14, 0.13),
        clear: 0.79,
        density: 6.9,
        density_spread: 0.11,
        poor: 0.18,
        say: -0.10,
        spread: 0.8,
        period: (8.3, 0.7),
        quality: [43.0, 5.0, 6.0, 18.0],
    },
    Reader {
        set: "FVC2002_DB4_B",
        fingers: 10,
        size: (288, 384),
        centre: (150.0, 187.0),
        shift: (30.0, 33.0),
        reach: (107.0, 170.0),
        reach_spread: (0.08, 0.07),
        clear: 0.98,
        density: 7.3,
        density_spread: 0.07,
        poor: 0.14,
        say: 0.60,
        spread: 2.5,
        period: (7.25, 0.55),
        quality: [50.0, 5.0, 5.5, 16.0],
    },
    Reader {
        set: "NT_CrossMatch",
        fingers: 51,
        size: (504, 480),
        centre: (239.0, 262.0),
        shift: (31.0, 25.0),
        reach: (150.0, 226.0),
        reach_spread: (0.13, 0.07),
        clear: 0.98,
        density: 6.1,
        density_spread: 0.19,
        poor: 0.04,
        say: 0.10,
        spread: 0.9,
        period: (9.1, 0.8),
        quality: [60.0, 5.0, 3.5, 20.0],
    },
];
