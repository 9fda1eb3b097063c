//! Every tuned constant: its unit, where it comes from, and the test that pins it.

/// Side of a block in pixels (500 dpi): the step of all slowly varying fields.
pub const CELL: usize = 8;

/// Smoothing of the local mean and deviation, in blocks.
pub const CONTRAST_SIGMA: f32 = 1.5;
/// Least local deviation divided by, in grey levels: flat background is not blown up.
pub const CONTRAST_FLOOR: f32 = 6.0;
/// Largest deviation kept, in units of the local one.
pub const CONTRAST_CLAMP: f32 = 2.5;

/// Smoothing of the gradient magnitude for the mask, in blocks.
pub const MASK_SIGMA: f32 = 0.8;
/// Share of the 95th percentile of the magnitude that a block of the finger has.
pub const MASK_SHARE: f32 = 0.25;
/// Least gradient magnitude of a finger, grey levels per two pixels.
pub const MASK_FLOOR: f32 = 3.0;

/// Smoothing at which the clarity of the whole print is judged, in blocks (27 px in GBFOE).
pub const ORIENTATION_PROBE: f32 = 3.4;
/// Final smoothing is this times (1 - mean coherence), in blocks (43 px in GBFOE).
pub const ORIENTATION_GAIN: f32 = 5.4;
/// Least final smoothing, in blocks.
pub const ORIENTATION_FINE: f32 = 0.9;

/// Shortest trial ridge period, pixels.
pub const PERIOD_MIN: f32 = 4.0;
/// Longest trial ridge period, pixels.
pub const PERIOD_MAX: f32 = 20.0;
/// Trial periods, evenly spaced in the logarithm.
pub const PERIOD_STEPS: usize = 36;
/// Blocks between measurements.
pub const PERIOD_STRIDE: usize = 3;
/// Half the length of a signature across the ridges, pixels.
pub const PERIOD_REACH: usize = 24;
/// Half the width over which a signature is averaged along the ridges, pixels.
pub const PERIOD_WIDTH: i32 = 8;
/// Smoothing of the period field, in blocks.
pub const PERIOD_SIGMA: f32 = 4.0;
/// Least and greatest believable median period at 500 dpi, pixels.
pub const PERIOD_BELIEVED: [f32; 2] = [5.2, 15.0];

/// Orientations in the Gabor bank.
pub const GABOR_ORIENTATIONS: usize = 32;
/// Periods in the Gabor bank.
pub const GABOR_PERIODS: usize = 14;
/// Shortest period of the bank, pixels.
pub const GABOR_PERIOD_MIN: f32 = 5.0;
/// Longest period of the bank, pixels.
pub const GABOR_PERIOD_MAX: f32 = 16.0;
/// Sigma of the envelope along the ridge, in periods.
pub const GABOR_ALONG: f32 = 0.5;
/// Sigma of the envelope across the ridge, in periods (5/12 in GBFEN).
pub const GABOR_ACROSS: f32 = 0.42;

/// Longest branch that counts as a spur, pixels.
pub const SPUR_LENGTH: usize = 10;
/// Shorter lines with two ends are dropped, pixels.
pub const FRAGMENT_LENGTH: usize = 14;
/// Longest bridge, pixels.
pub const BRIDGE_LENGTH: usize = 12;
/// A bridge's cos 2a against the ridges is below this.
pub const BRIDGE_SLANT: f32 = 0.3;
/// How far a line is followed for its direction, pixels.
pub const TRACK_REACH: usize = 20;
/// Lines that are shorter make no minutia, pixels.
pub const TRACK_MIN: usize = 6;

/// Farthest that the two views of a minutia lie apart, pixels.
pub const DUAL_DISTANCE: f32 = 8.0;
/// Cosine of the widest angle between the two views.
pub const DUAL_ANGLE_COS: f32 = 0.8;
/// What quality a minutia keeps that only one skeleton shows.
pub const DUAL_PENALTY: f32 = 0.5;

/// A minutia's outer side must be inside the mask this far against its direction, pixels.
pub const BORDER: f32 = 12.0;
/// Two minutiae that face each other nearer than this are a broken line, pixels.
pub const FACING_DISTANCE: f32 = 10.0;
/// Scale of the crowd penalty, pixels.
pub const CROWD_SIGMA: f32 = 11.0;
/// Minutiae of less quality are dropped, 0 to 1.
pub const QUALITY_FLOOR: f32 = 0.1;
/// Fewer make no template.
pub const MINUTIAE_MIN: usize = 5;
/// Least area of a finger, square pixels.
pub const AREA_MIN: usize = 6400;

/// Blocks between windows in which the share of ridges is measured.
pub const CONDITION_STRIDE: usize = 2;
/// Smaller fingers are partial, square pixels: 115 mm2; 2 % of FVC2002 set B are smaller.
pub const WHOLE_AREA: usize = 44_500;
/// A finger is off the centre when its middle is this far from the reader's, as a share of the side.
pub const OFF_CENTRE: f32 = 0.12;
/// Ridges cover less than this of a dry finger: the driest fifth of FVC2002 DB1 set B, which is dry,
/// and 3 to 6 % of the others.
pub const RIDGE_SHARE_DRY: f32 = 0.22;
/// And more than this of a wet one: the wettest 2 to 5 % of FVC2002 DB1 to 3.
pub const RIDGE_SHARE_WET: f32 = 0.58;
/// Sum of squared gradients along their main direction over that across it: a finger has ridges every
/// way and stays below 4.4 (FVC2002 set B, NT_CrossMatch); a movement of 12 pixels gives 6 and more.
pub const GRADIENT_RATIO_MOVED: f32 = 5.0;

/// Side of a cell of the ridge flow that a template keeps, pixels.
pub const FLOW_CELL: usize = 24;
/// Least clarity of a block whose flow is kept.
pub const FLOW_CLARITY: f32 = 0.5;

/// Radius of a cylinder, pixels (MCC).
pub const CYLINDER_RADIUS: f32 = 70.0;
/// Spread of a neighbour over the cells, pixels (MCC: 28/3).
pub const CYLINDER_SIGMA_SPACE: f32 = 28.0 / 3.0;
/// Spread of a neighbour over the layers, radians (MCC: 2 pi / 9).
pub const CYLINDER_SIGMA_ANGLE: f32 = std::f32::consts::TAU / 9.0;
/// Cells are valid this far outside the hull of the minutiae, pixels (MCC: Omega).
pub const CYLINDER_HULL_MARGIN: f32 = 50.0;
/// A cell's bit is set from this density on (MCC bit version, best for Ns = 8).
pub const CYLINDER_THRESHOLD: f32 = 0.005;
/// Least share of valid cells (MCC: minVC).
pub const CYLINDER_VALID_SHARE: f32 = 0.75;
/// Least number of neighbours (MCC: minM).
pub const CYLINDER_MIN_NEIGHBOURS: usize = 2;
/// Least share of common valid cells of two cylinders (MCC: minME).
pub const CYLINDER_COMMON_SHARE: f32 = 0.6;
/// Most that two prints may be turned against each other, 1/256 turns (MCC: pi/2).
pub const CYLINDER_TURN: u8 = 64;

/// LSS: least number of pairs counted.
pub const SORT_LEAST: usize = 4;
/// LSS: how many more are counted of large templates.
pub const SORT_MORE: f64 = 8.0;
/// LSS: slope and middle of the increase, minutiae.
pub const SORT_SLOPE: f64 = 0.4;
/// See [`SORT_SLOPE`].
pub const SORT_MIDDLE: f64 = 20.0;
/// LSS-R: rounds of relaxation.
pub const RELAX_ROUNDS: usize = 5;
/// LSS-R: what a pair keeps of itself in a round.
pub const RELAX_WEIGHT: f32 = 0.5;
/// LSS-R: middle (pixels) and slope of the sigmoid on the difference of distances.
pub const RELAX_DISTANCE: [f64; 2] = [5.0, -1.6];
/// LSS-R: middle (radians) and slope of the sigmoids on the differences of angles.
pub const RELAX_ANGLE: [f64; 2] = [std::f64::consts::PI / 12.0, -30.0];

/// Less likeness of the best local structures than this, and no alignment is tried: the score can only
/// be low. Two different fingers have 0.016 in the median; of the genuine pairs of FVC2002 set B and
/// NT_CrossMatch that are accepted at an FMR of 1 % the least has 0.0153.
pub const LOCAL_LEAST: f32 = 0.015;
/// Relaxed pairs that are tried as alignments.
pub const ALIGN_HYPOTHESES: usize = 6;
/// The second best alignment is tried when it has this share of the best one's followers.
pub const ALIGN_RIVAL: f32 = 0.6;
/// Relaxed pairs follow an alignment within this distance, pixels.
pub const ALIGN_REACH: f32 = 16.0;
/// And within this angle, 1/256 turns.
pub const ALIGN_TURN: u8 = 20;
/// Minutiae pair under the first alignment within this distance, pixels.
pub const PAIR_REACH_FIRST: f32 = 16.0;
/// And after the stretching is taken out, pixels.
pub const PAIR_REACH_LAST: f32 = 11.0;
/// Minutiae pair within this angle, 1/256 turns.
pub const PAIR_TURN: u8 = 18;
/// Distance over which the skin's stretching is alike, pixels.
pub const STRETCH_SCALE: f32 = 60.0;
/// Weight of not stretching at all, in pairs.
pub const STRETCH_PRIOR: f32 = 0.7;
/// The overlap reaches this far beyond the hull of the minutiae, pixels.
pub const OVERLAP_MARGIN: f32 = 8.0;

/// Copies: distances within which minutiae pair while the motion is narrowed, pixels.
pub const COPY_NARROWING: [f32; 7] = [10.0, 7.0, 5.0, 3.5, 2.5, 2.0, 1.5];
/// Copies: angle within which they pair meanwhile, 1/256 turns: a slant turns them.
pub const COPY_TURN_FIRST: u8 = 12;
/// Copies: farther apart than this, pixels, minutiae do not lie on each other. A step of the fields that the
/// extraction rests on moves a minutia by about one.
pub const COPY_REACH: f32 = 1.75;
/// Copies: nor when they differ by more than this, 1/256 turns: ANSI 378 keeps every second degree.
pub const COPY_TURN: u8 = 5;
/// Copies: weight of nothing lying on each other, in minutiae of full quality: a few that do prove little.
pub const COPY_PRIOR: f32 = 2.0;
/// Copies: from this share on one print is a copy of the other. Fitted on FVC2002 DB1 and DB2 set B by the program
/// `replay`, see `docs/matching/replay.md`; a test measures it anew.
pub const COPY_SAMENESS: f32 = 0.62;

/// Search: cylinders that are kept of an impression, the best by the minutia's quality and the share of valid cells. This and the
/// following were chosen by trials on FVC2002 set B and NT_CrossMatch, which `tests/sweep` repeats: the share of probes whose true
/// print was not among the best 5 % of the impressions. By the likeness of 16 cylinders 2.0 %, of 24 1.4 %, of all 1.9 %.
pub const SKETCH_CYLINDERS: usize = 24;
/// Search: tables of keys, and minima that a key is made of. Misses at 5 and 10 % and hits an impression: 8 tables of 2 minima
/// 3.6 %, 2.7 %, 17.9; of 3 4.3 %, 3.6 %, 2.8; 12 of 3 3.9 %, 2.7 %, 4.0; 8 of sampled bits 8.1 %, 6.2 %, 3.6. A table of 3 minima
/// costs 96 bytes an impression.
pub const HASH_TABLES: usize = 8;
/// See [`HASH_TABLES`].
pub const HASH_MINIMA: usize = 3;
/// Search: hits agree when their turns differ by at most this, 1/256 turns, and ...
pub const VOTE_TURN: i32 = 16;
/// ... their moves by at most this along each axis, pixels. Misses at 5 % (three impressions enrolled): 10 and 32 1.5 %, 12 and 40
/// 1.1 %, these 0.9 %.
pub const VOTE_REACH: f32 = 48.0;
/// Search: of how many impressions one at most may have a key that votes. Lists of more than a quarter are two fifths of all that
/// votes go through, and weigh least. Misses at 5 and 10 % (3,000 fingers, three impressions enrolled): of all 0.88 %, 0.66 %; 4 the
/// same; 8 1.10 %, 0.88 %; 16 1.32 %, 0.88 %; 32 1.54 %, 0.88 %.
pub const VOTE_COMMON: usize = 4;
/// Search: impressions that are laid on the probe as the votes say: a least number, and of how many one more. This and the following
/// sizes were chosen by `scale --sweep`, see docs/matching/scale.md.
pub const ALIGNED: (usize, usize) = (2_000, 10);
/// Search: cylinders lie near each other then within this angle, 1/256 turns, and ... By trials as above: 16 and 8 leave out as
/// many, and count twice as much.
pub const ALIGNED_TURN: u8 = 12;
/// ... within this along each axis, steps of a sketch.
pub const ALIGNED_REACH: u8 = 6;
/// Search: of so many impressions the whole sketches of all are looked at: in an office nobody is left out by votes.
pub const WEIGHED: usize = 4_000;
/// Search: impressions whose whole sketches are looked at in the first pass, and of how many one more.
pub const FIRST_SHORTLIST: (usize, usize) = (500, 250);
/// The same in the second pass.
pub const SECOND_SHORTLIST: (usize, usize) = (1_000, 50);
/// Search: of so many impressions all are compared fully.
pub const EVERYBODY: usize = 64;
/// Search: impressions that are compared fully in the first pass, and of how many one more.
pub const FIRST_FINALISTS: (usize, usize) = (16, 100_000);
/// The same in the second pass.
pub const SECOND_FINALISTS: (usize, usize) = (32, 8_000);
/// Search: a score from here on ends it after the first pass: at a false match rate of 1e-9 nobody else is looked for.
pub const EARLY_SCORE: f64 = 90.0;
/// Search: pairs of cylinders agree when their turns differ by at most this, 1/256 turns, and ...
pub const LIKE_TURN: f32 = 8.0;
/// ... the places by at most this, pixels, and ...
pub const LIKE_REACH: f32 = 6.0;
/// ... this share of the distance between them.
pub const LIKE_STRETCH: f32 = 0.12;
/// Search: candidates beside the best that a score is normalised over.
pub const STANDING_OVER: usize = 50;

/// Fewer cells that are clear in both prints say nothing.
pub const FLOW_CELLS_MIN: f32 = 5.0;
/// What stands for one less the agreement of the directions when nothing is known: the middle
/// between what one finger and two have.
pub const FLOW_TURN_UNKNOWN: f64 = 0.15;
/// The same for the difference of the periods.
pub const FLOW_SPACING_UNKNOWN: f64 = 0.08;

/// Weights of the terms of the evidence, see `compare::fuse` for their order. Logistic regression on
/// every other finger of FVC2002 DB1-4 set B and NT_CrossMatch, each set with the same total weight:
/// the program `calibrate` fits them, a test compares.
pub const FUSION_WEIGHTS: [f64; 9] =
    [3.455_283, 3.969_934, -0.202_557, -4.363_998, 1.867_298, 0.746_976, 4.579_043, -1.874_468, -2.031_301];
/// See [`FUSION_WEIGHTS`].
pub const FUSION_BIAS: f64 = -2.329_876;
/// Where the impostors' exponential tail would reach a rate of 1, in units of the fused evidence: the
/// 99th percentile of the worst set lies at -1.94, and a hundredth of the tail is 4.605 scales long.
pub const TAIL_ORIGIN: f64 = -2.0 - 4.605_170 * TAIL_SCALE;
/// Decay of the impostors' tail, in units of the fused evidence: the largest mean excess of the five
/// sets, rounded up.
pub const TAIL_SCALE: f64 = 1.4;
/// With 95 % confidence over fingers at most this, times the claimed rate to the power of [`UPPER_EXPONENT`], passes:
/// the tail of the worst of the five sets, its quantile and its mean excess both at the upper ends of their intervals
/// (500 draws of the fingers), at claimed rates of 1e-3 to 1e-5. The program `calibrate` prints it, a test compares.
pub const UPPER_FACTOR: f64 = 0.78;
/// See [`UPPER_FACTOR`].
pub const UPPER_EXPONENT: f64 = 0.813;
