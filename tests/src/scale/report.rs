//! What is told of a run, as text or JSON. The JSON keys are an interface: other programs read them.

use std::fmt::{self, Display};

use serde::Serialize;

use super::{
    contest::Contest,
    likeness::{ChanceRatio, Compared},
    misses::Misses,
    reach::Reach,
    search::Stages,
    sweep::Cut,
};

/// How long a gallery takes to build.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Build {
    /// Seconds that making the synthetic fingers took, all cores; no part of the build.
    pub generating_s: f64,
    /// Seconds from templates to fingers, all cores.
    pub preparing_s: f64,
    /// The cylinders of all impressions.
    pub sketching_s: f64,
    /// Seconds from fingers to a gallery that can be searched.
    pub indexing_s: f64,
    /// Milliseconds that the cylinders of one template take, one thread.
    pub cylinders_ms: f64,
}

/// Memory of an impression, bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Of the templates.
    pub templates: f64,
    /// Of their cylinders.
    pub cylinders: f64,
    /// Of the index.
    pub index: f64,
    /// Of what is kept prepared besides: a budget for the whole gallery, here its share.
    pub prepared: f64,
    /// Growth of the program's resident memory, where the system tells it.
    pub resident: Option<f64>,
}

/// Searches for fingers that nobody enrolled: none of them ends early. Milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strangers {
    /// How many.
    pub searches: usize,
    /// Half took less.
    pub search_ms_p50: f64,
    /// Of a hundred, 99 took less.
    pub search_ms_p99: f64,
}

/// How fast bits are counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Roof {
    /// Words of 64 bits a second that the machine counts, one thread, data in the first cache.
    pub words_per_s: f64,
    /// By which instructions.
    pub way: &'static str,
    /// That the kernel compares that looks for the nearest cylinders.
    pub kernel_words_per_s: f64,
    /// Their ratio, percent.
    pub percent: f64,
}

/// All of a run. The first keys are those that were agreed on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Fingers.
    pub gallery: usize,
    /// Templates a second, from templates in memory to a gallery that can be searched.
    pub templates_per_s_build: f64,
    /// Bytes of an impression, all parts.
    pub bytes_per_template: f64,
    /// Half of the searches took less, milliseconds.
    pub search_ms_p50: f64,
    /// Of a hundred, 99 took less.
    pub search_ms_p99: f64,
    /// Each stage.
    pub stages: Stages,
    /// Percent of the probes that the cascade misses at rank 1.
    pub miss_cascade: f64,
    /// The same of comparing with everybody.
    pub miss_exhaustive: f64,
    /// The peers; none when they were left out.
    pub peer: Option<Contest>,
    /// `believed` or `speed only`.
    pub label: &'static str,
    /// Why it is speed only.
    pub label_failed: Vec<String>,
    /// Impressions enrolled, over all fingers.
    pub impressions: usize,
    /// Impressions enrolled of each finger.
    pub enrol: usize,
    /// Threads of a search.
    pub threads: usize,
    /// The instructions that the kernels use.
    pub kernel: String,
    /// `real` or `synthetic`.
    pub probes: &'static str,
    /// Prints that gave no template.
    pub failed: usize,
    /// Time to build.
    pub build: Build,
    /// Each part of the memory.
    pub bytes: Memory,
    /// How the misses were counted.
    pub misses: Misses,
    /// What shortlists would miss; nothing unless it was asked for.
    pub sweep: Vec<Cut>,
    /// Searches for nobody.
    pub strangers: Strangers,
    /// What the generator was fitted on.
    pub fitted_on: Vec<&'static str>,
    /// Two-sample tests of real and synthetic impressions.
    pub likeness: Vec<Compared>,
    /// Rates of chance matches, real and synthetic.
    pub chance: Vec<ChanceRatio>,
    /// What may be said of false accepts.
    pub reach: Reach,
    /// How fast bits are counted.
    pub roof: Roof,
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gallery, impressions, enrol, threads, kernel, .. } = self;
        writeln!(
            f,
            "{gallery} fingers, {impressions} impressions (up to {enrol} each), {threads} threads, {kernel}"
        )?;
        let Build { generating_s, preparing_s, sketching_s, indexing_s, cylinders_ms } = self.build;
        writeln!(
            f,
            "built at {:.0} templates/s: {preparing_s:.2} s packed, {sketching_s:.2} s cylinders, {indexing_s:.2} s index; cylinders {cylinders_ms:.3} ms a template on one thread; made in {generating_s:.1} s",
            self.templates_per_s_build
        )?;
        let Memory { templates, cylinders, index, prepared, resident } = self.bytes;
        writeln!(
            f,
            "{:.0} bytes an impression: templates {templates:.0}, cylinders {cylinders:.0}, index {index:.0}, kept prepared {prepared:.0}; resident {}",
            self.bytes_per_template,
            resident.map_or("unknown".to_owned(), |bytes| format!("{bytes:.0}"))
        )?;
        writeln!(
            f,
            "\n{:<26}{:>10}{:>10}{:>10}{:>14}",
            "search", "p50 ms", "p99 ms", "searches", "penetration"
        )?;
        for (name, stage) in &self.stages.0 {
            writeln!(
                f,
                "  {name:<24}{:>10.3}{:>10.3}{:>10}{:>12.4} %",
                stage.ms_p50, stage.ms_p99, stage.searches, stage.penetration
            )?;
        }
        writeln!(f, "  {:<24}{:>10.3}{:>10.3}", "all", self.search_ms_p50, self.search_ms_p99)?;
        let Strangers { searches, search_ms_p50, search_ms_p99 } = self.strangers;
        writeln!(
            f,
            "  {:<24}{search_ms_p50:>10.3}{search_ms_p99:>10.3}{searches:>10}",
            "of somebody not enrolled"
        )?;
        self.missed(f)?;
        self.compared(f)?;
        self.trusted(f)?;
        let Roof { words_per_s, way, kernel_words_per_s, percent } = self.roof;
        writeln!(
            f,
            "\npopcount roof {:.2} G words/s on one thread ({way}), the kernel {:.2} G: {percent:.0} % of it",
            words_per_s / 1e9,
            kernel_words_per_s / 1e9
        )
    }
}

impl Report {
    fn missed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misses { probes, cascade, exhaustive, added, compared, compared_missed, without_template } =
            self.misses;
        writeln!(
            f,
            "\nmisses at rank 1, {probes} {} probes ({without_template} gave no template): cascade {cascade:.2} %, exhaustive {exhaustive:.2} %, added {added:.2} %",
            self.probes
        )?;
        if compared < probes - without_template {
            writeln!(
                f,
                "  exhaustive is an estimate: {compared} probes were compared with everybody, {compared_missed} of them missed by the cascade"
            )?;
        }
        if !self.sweep.is_empty() {
            writeln!(
                f,
                "\n{:<26}{:>10}{:>12}{:>10}",
                "% missed by a shortlist of", "votes", "alignment", "likeness"
            )?;
        }
        for Cut { share, votes, alignment, likeness } in &self.sweep {
            writeln!(f, "  {share:>7.2} % {:<14}{votes:>10.2}{alignment:>12.2}{likeness:>10.2}", "")?;
        }
        let Some(peer) = &self.peer else { return Ok(()) };
        writeln!(
            f,
            "\npeers, {} impressions, {} probes; ours misses {:.2} % there",
            peer.impressions, peer.probes, peer.miss_ours
        )?;
        for side in [&peer.lss, &peer.edges] {
            writeln!(
                f,
                "  {}: misses {:.2} %, {:.1} us a comparison, the whole gallery {:.0} ms (extrapolated) = {:.1} times ours",
                side.what, side.miss, side.us_per_comparison, side.search_ms_extrapolated, side.ratio
            )?;
        }
        Ok(())
    }

    fn compared(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ngenerator fitted on {}; this result: {}", self.fitted_on.join(", "), self.label)?;
        for why in &self.label_failed {
            writeln!(f, "  speed only: {why}")?;
        }
        if !self.likeness.is_empty() {
            writeln!(
                f,
                "{:<42}{:>9}{:>11}{:>8}{:>9}",
                "two-sample tests (fingers)", "real", "synthetic", "KS", "p"
            )?;
        }
        for c in &self.likeness {
            writeln!(
                f,
                "  {:<40}{:>9.2}{:>11.2}{:>8.3}{:>9.4}",
                c.name, c.real, c.synthetic, c.distance, c.p
            )?;
        }
        for c in &self.chance {
            writeln!(f, "  {}: {:.1e}", c.name(), c.synthetic)?;
        }
        Ok(())
    }

    fn trusted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reach { fpir, upper_bound, point_estimate, fpir_of_this_gallery, sets } = &self.reach;
        writeln!(f, "\nfalse accepts, from real pairs and the calibration alone, at an FPIR of {fpir}:")?;
        for (what, allowed) in [("upper bound", upper_bound), ("point estimate", point_estimate)] {
            writeln!(
                f,
                "  {what} (FMR {:.1e}): the guard allows {:.0} impressions with one finger, {:.0} with two of people with two",
                allowed.fmr, allowed.one_finger, allowed.two_fingers
            )?;
        }
        writeln!(f, "  this gallery with one finger: FPIR up to {fpir_of_this_gallery:.3}")?;
        for set in sets {
            match (set.estimate, set.upper) {
                (Some(estimate), Some(upper)) => writeln!(
                    f,
                    "  {}: {} pairs of other fingers, tail at the floor {estimate:.1e}, at most {upper:.1e} (95 %)",
                    set.set, set.pairs
                )?,
                _ => writeln!(f, "  {}: {} pairs of other fingers, too few for a tail", set.set, set.pairs)?,
            }
        }
        Ok(())
    }
}
