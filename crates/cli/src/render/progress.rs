//! How a pull or push is shown: a bar a layer on a terminal, a line a layer elsewhere, nothing when quiet.

use crate::console::Console;
use dhow_base::{Digest, size};
use dhow_image::{Event, Phase, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How often bars are drawn again, at most, in a second.
const REDRAWS_HZ: u8 = 12;

/// Listens to a pull or push.
#[derive(Debug)]
pub(crate) enum Reporter {
    /// Says nothing.
    Silent,
    /// Bars.
    Bars(Bars),
    /// Lines.
    Lines(Lines),
}

impl Reporter {
    /// The way that suits the console.
    pub(crate) fn new(
        console: Console,
        verb: &'static str,
        quiet: bool,
        columns: Option<usize>,
    ) -> Self {
        if quiet {
            return Self::Silent;
        }
        // Nothing is drawn before the first event, so a run of a local image pays for nothing.
        if console.is_watched() {
            Self::Bars(Bars { columns: columns.unwrap_or(80), drawn: Mutex::default() })
        } else {
            Self::Lines(Lines { console, verb, said: Mutex::default() })
        }
    }
}

impl Progress for Reporter {
    fn layer(&self, event: &Event<'_>) {
        match self {
            Self::Silent => {}
            Self::Bars(bars) => bars.layer(event),
            Self::Lines(lines) => lines.layer(event),
        }
    }

    fn begin(&self, what: &str, layers: &[(Digest, u64)]) {
        match self {
            Self::Silent => {}
            Self::Bars(bars) => bars.begin(layers),
            Self::Lines(lines) => {
                let bytes = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.1));
                let (count, bytes) = (layers.len(), size::humanly(bytes));
                let word = if count == 1 { "layer" } else { "layers" };
                let text = format!("{} {what}: {count} {word}, {bytes}", lines.verb);
                lines.console.note(&text);
            }
        }
    }
}

/// A bar a layer.
#[derive(Debug)]
pub(crate) struct Bars {
    columns: usize,
    drawn: Mutex<Option<Drawing>>,
}

struct Drawing {
    together: MultiProgress,
    bars: BTreeMap<Digest, ProgressBar>,
}

impl fmt::Debug for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drawing").field("bars", &self.bars.len()).finish_non_exhaustive()
    }
}

impl Bars {
    fn begin(&self, layers: &[(Digest, u64)]) {
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_HZ);
        let mut drawing =
            Drawing { together: MultiProgress::with_draw_target(target), bars: BTreeMap::new() };
        for (layer, total) in layers {
            self.bar(&mut drawing, layer, *total);
        }
        *locked(&self.drawn) = Some(drawing);
    }

    fn bar<'a>(&self, drawing: &'a mut Drawing, layer: &Digest, total: u64) -> &'a ProgressBar {
        let Drawing { together, bars } = drawing;
        bars.entry(layer.clone()).or_insert_with(|| {
            let bar = together.add(ProgressBar::new(total).with_style(style(self.columns)));
            bar.set_prefix(layer.short().to_owned());
            bar.set_message("waiting");
            bar
        })
    }

    fn layer(&self, event: &Event<'_>) {
        let mut drawn = locked(&self.drawn);
        let Some(drawing) = drawn.as_mut() else { return };
        let bar = self.bar(drawing, event.layer, event.total);
        bar.set_position(event.done);
        match event.phase {
            Phase::Fetching => bar.set_message("fetching"),
            Phase::Waiting => bar.set_message("waiting for another pull"),
            Phase::Unpacking => bar.set_message("unpacking"),
            Phase::Exists => bar.finish_with_message("here already"),
            Phase::Done => bar.finish_with_message("done"),
            Phase::There => bar.finish_with_message("there already"),
            Phase::Sending => bar.set_message("sending"),
            Phase::Mounted => bar.finish_with_message("there in another repository"),
        }
    }
}

fn style(columns: usize) -> ProgressStyle {
    // Twelve for the id, some twenty for the sizes, as much for the message.
    let width = columns.saturating_sub(62).clamp(8, 40);
    let template = format!("{{prefix}} [{{bar:{width}}}] {{sizes:>19}} {{msg}}");
    ProgressStyle::with_template(&template)
        .expect("the template above is well-formed")
        .progress_chars("=> ")
        .with_key("sizes", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let (done, total) = (state.pos(), state.len().unwrap_or(0));
            // Whoever draws notices a failed write; there is nothing to be done about it here.
            let _written = write!(out, "{} of {}", size::humanly(done), size::humanly(total));
        })
}

/// A line a layer, when it is done.
#[derive(Debug)]
pub(crate) struct Lines {
    console: Console,
    verb: &'static str,
    said: Mutex<BTreeMap<Digest, Phase>>,
}

impl Lines {
    fn layer(&self, event: &Event<'_>) {
        let word = match event.phase {
            Phase::Exists => "here already",
            Phase::Done => "done",
            Phase::Waiting => "waiting for another pull",
            Phase::There => "there already",
            Phase::Mounted => "there in another repository",
            Phase::Fetching | Phase::Unpacking | Phase::Sending => return,
        };
        if locked(&self.said).insert(event.layer.clone(), event.phase) != Some(event.phase) {
            self.console.note(&format!("layer {}: {word}", event.layer.short()));
        }
    }
}

/// What is behind the lock stays usable if a thread panicked that held it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
