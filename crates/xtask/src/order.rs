//! `order`: which code the most frequent commands run, written down for the linker.
//!
//! ```text
//!   binary and link map ─▶ each command, step by step ─▶ sections that were run ─▶ crates/cli/run-path.ld
//! ```
//!
//! The kernel makes 64 KiB of a file resident around each page that is touched. A command of the
//! runtime runs a twentieth of the binary; scattered over all of it, that is five times its size in
//! memory, and as many faults more. So the linker lays those functions side by side, what all
//! commands run before what few do. Behind them comes what the engine's commands and their monitors
//! run besides: the runtime's, which may have little memory, touch nothing of that.
//!
//! Constants have no names that outlive a change of the code, so those of the crates that the runtime
//! is made of are gathered, right after the binary's head, which is read as well; and so is what the C
//! library writes to.
//!
//! The file names sections by patterns without what a compiler's version or a crate's hash puts into
//! their names. It is a hint: a pattern that fits nothing any more costs nothing, and a function that
//! is not named lies where it would lie otherwise. When the budget of memory
//! (`crates/cli/tests/suite/runtime_budgets.rs`) is overrun, it is to be written anew.

use crate::{bench::Runtime, say, workspace::Workspace};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::steps;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What is written, from the workspace's root.
const SCRIPT: &str = "crates/cli/run-path.ld";

/// How long a container may take to be created while every step is a stop.
const PATIENCE: Duration = Duration::from_secs(600);

const HEAD: &str = "\
/* Written by `cargo xtask order`, which tells why: the functions that the runtime's commands run, and
   those that the engine's run, side by side in the binary, and what they read and write. */
";

/// Whose constants the runtime's commands read.
const READ: [&str; 13] = [
    "libc.a:",
    "libcore-*.rlib:",
    "liballoc-*.rlib:",
    "libstd-*.rlib:",
    "libitoa-*.rlib:",
    "libserde_json-*.rlib:",
    "libdhow_base-*.rlib:",
    "libdhow_sys-*.rlib:",
    "libdhow_spec-*.rlib:",
    "libdhow_cgroup-*.rlib:",
    "libdhow_seccomp-*.rlib:",
    "libdhow_runtime-*.rlib:",
    "libjiff-*.rlib:",
];

/// The name of a variable that the library for encryption asks the environment for before `main`.
const READ_EARLY: &str = "*(.rodata.*OPENSSL_cpuid_setup.str*)";

/// The compiler's start files hand the table of frames over to the unwinder, for linkers that make no
/// index of it. Ours does, so all that does is to touch it; they call nothing that is nowhere.
const UNREGISTERED: &str = "\
\n__register_frame_info = 0;\n__deregister_frame_info = 0;\n";

/// Whose variables they write: each page of these is copied for each process.
const WRITTEN: [&str; 2] = ["libstd-*.rlib:", "libc.a:"];

/// Traces the commands and writes the script.
pub(crate) fn write(workspace: &Workspace) -> Result<ExitCode> {
    let (binary, map) = link(&workspace.root)?;
    let map = fs::read_to_string(&map).doing(|| format!("read {}", map.display()))?;
    let sections = Sections::parse(&map);
    let home = tempfile::tempdir().doing(|| "make a directory")?;
    let prefix = vec![binary.display().to_string(), "runtime".to_owned()];
    let runtime = Runtime::prepare("dhow", prefix, home.path())?;
    let tracer = Tracer { binary: &binary, sections: &sections, runtime: &runtime };
    let traces = tracer.all()?;
    let engine = tracer.engine(home.path())?;
    let mut order = order(&traces);
    let first: BTreeSet<usize> = order.iter().copied().collect();
    order.extend(self::order(&engine).into_iter().filter(|begin| !first.contains(begin)));
    let run: Vec<&Section> = order.iter().map(|begin| &sections.code[begin]).collect();
    let size: u64 = run.iter().map(|section| section.size).sum();
    let path = workspace.root.join(SCRIPT);
    fs::write(&path, script(&sections, &run)).doing(|| format!("write {}", path.display()))?;
    let commands = traces.len() + engine.len();
    say(&format!("order: {commands} commands run {size} bytes in {} pieces", run.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the product with a map of where the linker put everything.
fn link(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let binary = crate::suite::build(root)?;
    let map = binary.with_extension("map");
    let status = Command::new("cargo")
        .args(["rustc", "--quiet", "--release", "--package", "dhow-cli", "--bin", "dhow", "--"])
        .arg("-C")
        .arg(format!("link-arg=-Wl,-Map={}", map.display()))
        .current_dir(root)
        .status()
        .doing(|| "run cargo rustc")?;
    if !status.success() {
        return Err(Error::new(Kind::Invalid, "build the release binary with a map"));
    }
    Ok((binary, map))
}

/// A piece of code as a compiler handed it to the linker.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Section {
    size: u64,
    /// The object file, as `archive(member)` where it comes from one.
    file: String,
    name: String,
}

/// What the binary is made of.
#[derive(Clone, Debug, Default)]
struct Sections {
    /// All code, by where it begins.
    code: BTreeMap<usize, Section>,
    /// The names of those constants that have a function's, without hashes.
    constants: BTreeSet<String>,
}

impl Sections {
    /// Reads a map of lld's: address, address, size, alignment, and `file:(section)`.
    fn parse(map: &str) -> Self {
        let section = |line: &str| {
            let mut words = line.split_whitespace();
            let address = usize::from_str_radix(words.next()?, 16).ok()?;
            let size = u64::from_str_radix(words.nth(1)?, 16).ok()?;
            let (file, name) = words.nth(1)?.rsplit_once(":(")?;
            let name = name.strip_suffix(')')?;
            let section = Section { size, file: file.to_owned(), name: name.to_owned() };
            (size > 0).then_some((address, section))
        };
        let mut sections = Self::default();
        for (address, section) in map.lines().filter_map(section) {
            if section.name.starts_with(".text") {
                sections.code.insert(address, section);
            } else if section.name.starts_with(".rodata._R") {
                sections.constants.insert(without_hashes(&section.name));
            }
        }
        sections
    }

    /// The constants that a compiler laid beside a function.
    fn constants_of(&self, function: &Section) -> Option<String> {
        let (_kind, symbol) = function.name.split_once("._R")?;
        let name = without_hashes(&format!(".rodata._R{symbol}"));
        self.constants.contains(&name).then(|| either(&name))
    }

    /// The code that an address lies in.
    fn around(&self, address: usize) -> Option<Range<usize>> {
        let (begin, section) = self.code.range(..=address).next_back()?;
        let end = begin.checked_add(usize::try_from(section.size).ok()?)?;
        (address < end).then_some(*begin..end)
    }
}

/// Runs commands and notes which sections they run.
struct Tracer<'a> {
    binary: &'a Path,
    sections: &'a Sections,
    runtime: &'a Runtime,
}

impl Tracer<'_> {
    /// The traces of a container's life by single commands, and of another's by one.
    fn all(&self) -> Result<Vec<BTreeSet<usize>>> {
        let long = self.runtime.long.display().to_string();
        let mut traces = Vec::new();
        let created = thread::scope(|scope| {
            let creation = scope.spawn(|| self.trace(&["create", "--bundle", &long, "order"]));
            let lived = self.await_creation().and_then(|()| self.life());
            // The first process is followed as well, and the trace ends with it.
            traces.push(self.trace(&["delete", "--force", "order"])?);
            traces.extend(lived?);
            creation.join().map_err(|_panic| Error::new(Kind::Internal, "trace a creation"))?
        })?;
        traces.push(created);
        // The bundle is looked for in the current directory, as most people have it.
        let words = ["run", "order"];
        let mut run = self.command(&words);
        run.current_dir(&self.runtime.short);
        traces.push(self.follow(run, &words)?);
        Ok(traces)
    }

    /// The traces of the engine's commands, those of their monitors with them.
    fn engine(&self, home: &Path) -> Result<Vec<BTreeSet<usize>>> {
        let archive = home.join("order.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(self.runtime.long.join("rootfs")).arg("-cf").arg(&archive).arg(".");
        succeed(&mut tar)?;
        let place = |name: &str| home.join(name).display().to_string();
        let (root, runroot) = (place("engine"), place("engine-run"));
        let dhow = |words: &[&str]| {
            let mut command = Command::new(self.binary);
            command.args(["--root", &root, "--runroot", &runroot]).args(words);
            command.stdin(Stdio::null());
            command
        };
        let run = ["run", "--network", "none"];
        succeed(dhow(&["import", &archive.display().to_string(), "order"]).stdout(Stdio::null()))?;
        let resident = ["-d", "--name", "resident", "order", "sleep", "100000"];
        succeed(dhow(&[&run[..], &resident].concat()).stdout(Stdio::null()))?;
        // The second sleeps long enough for its monitor to rest, which is woken by its end.
        let words: [&[&str]; 6] = [
            &["run", "--rm", "--network", "none", "order", "true"],
            &["run", "--rm", "-d", "--network", "none", "order", "sleep", "5"],
            &["create", "--network", "none", "order", "true"],
            &["exec", "resident", "true"],
            &["ps", "-a"],
            &["rm", "--force", "resident"],
        ];
        words.into_iter().map(|words| self.follow(dhow(words), words)).collect()
    }

    /// What is asked of a container between its creation and its end.
    fn life(&self) -> Result<Vec<BTreeSet<usize>>> {
        let words: [&[&str]; 8] = [
            &["state", "order"],
            &["start", "order"],
            &["list"],
            &["ps", "order"],
            &["exec", "order", "true"],
            &["pause", "order"],
            &["resume", "order"],
            &["kill", "order", "KILL"],
        ];
        words.into_iter().map(|words| self.trace(words)).collect()
    }

    fn trace(&self, words: &[&str]) -> Result<BTreeSet<usize>> {
        self.follow(self.command(words), words)
    }

    fn follow(&self, mut command: Command, words: &[&str]) -> Result<BTreeSet<usize>> {
        let doing = || format!("trace {}", words.join(" "));
        let (mut run, mut last) = (BTreeSet::new(), 0..0);
        let note = |address| {
            if !last.contains(&address)
                && let Some(range) = self.sections.around(address)
            {
                run.insert(range.start);
                last = range;
            }
        };
        command.stdout(Stdio::null());
        let code = steps::follow(&mut command, |pid| self.is_ours(pid), note);
        match code.doing(doing)? {
            Some(0) => Ok(run),
            code => Err(Error::new(Kind::Internal, format!("it ended with {code:?}"))).doing(doing),
        }
    }

    /// Whether a process is the binary, or its sealed mount, which has no path.
    fn is_ours(&self, pid: i32) -> bool {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|path| path == self.binary || path == Path::new("/"))
    }

    fn await_creation(&self) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let output =
                self.command(&["state", "order"]).output().doing(|| "ask for the state")?;
            if String::from_utf8_lossy(&output.stdout).contains("\"status\": \"created\"") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(Error::new(Kind::Unavailable, "wait for a container that is being traced"))
    }

    fn command(&self, words: &[&str]) -> Command {
        let words = self.runtime.words(words);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command
    }
}

/// Sections from those that most commands run to those of one, which stay together.
fn order(traces: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut users = BTreeMap::<usize, u32>::new();
    for (number, trace) in traces.iter().enumerate() {
        for section in trace {
            *users.entry(*section).or_default() |= 1 << number;
        }
    }
    let mut order: Vec<(usize, u32)> = users.into_iter().collect();
    order.sort_by_key(|(begin, users)| (Reverse(users.count_ones()), *users, *begin));
    order.into_iter().map(|(begin, _users)| begin).collect()
}

/// What names a section in any build: its own name, or its file where many have that name.
fn pattern(section: &Section) -> Option<String> {
    let is_of_a_crate = section.file.contains(".rlib(");
    if section.name != ".text" && (section.name.contains("._R") || is_of_a_crate) {
        return Some(either(&without_hashes(&section.name)));
    }
    if section.name == ".text.main" {
        return Some(format!("*({})", section.name));
    }
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let file = match section.file.strip_suffix(')').and_then(|file| file.rsplit_once('(')) {
        Some((archive, member)) => format!("{}:{member}", base(archive)),
        None => base(&section.file),
    };
    (!is_of_a_crate).then(|| format!("*{file}({})", section.name))
}

/// A section that a compiler may have given its module's hash.
fn either(name: &str) -> String {
    format!("*({name} {name}.llvm.*)")
}

/// A symbol without the hashes of crates (`Cs…_`) and of modules (`.llvm.…`), which it may have in one
/// build and not in the next.
fn without_hashes(name: &str) -> String {
    let name = name.split_once(".llvm.").map_or(name, |(name, _hash)| name);
    let mut parts = name.split("Cs");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("Cs");
        match part.split_once('_') {
            Some((hash, rest)) if hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                text.push_str("*_");
                text.push_str(rest);
            }
            _ => text.push_str(part),
        }
    }
    text
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let doing = || format!("run {}", program.display());
    match command.status().doing(doing)?.success() {
        true => Ok(()),
        false => Err(Error::new(Kind::Internal, "it failed")).doing(doing),
    }
}

fn script(sections: &Sections, run: &[&Section]) -> String {
    let code = run.iter().filter_map(|section| pattern(section)).collect();
    let mut constants = of_archives(&READ, ".rodata .rodata.*");
    constants.push(READ_EARLY.to_owned());
    constants.extend(run.iter().filter_map(|section| sections.constants_of(section)));
    let written = of_archives(&WRITTEN, ".data .data.[!r]* .data.rel.local*");
    let cleared = of_archives(&WRITTEN, ".bss .bss.* COMMON");
    HEAD.to_owned()
        + UNREGISTERED
        + &gathered(".text.run", code, "BEFORE .text")
        + &gathered(".rodata.run", constants, "BEFORE .gcc_except_table")
        + &gathered(".data.run", written, "AFTER .data")
        + &gathered(".bss.run", cleared, "BEFORE .bss")
}

fn of_archives(archives: &[&str], sections: &str) -> Vec<String> {
    archives.iter().map(|archive| format!("*{archive}*({sections})")).collect()
}

/// A section of the binary that holds what certain patterns name, in that order.
fn gathered(name: &str, patterns: Vec<String>, place: &str) -> String {
    let mut text = format!("\nSECTIONS\n{{\n    {name} :\n    {{\n");
    let mut written = BTreeSet::new();
    for pattern in patterns.into_iter().filter(|pattern| written.insert(pattern.clone())) {
        let _never_fails = writeln!(text, "        {pattern}");
    }
    text + &format!("    }}\n}}\nINSERT {place};\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
             VMA              LMA     Size Align Out     In      Symbol
          79cd50           79cd50   1359463    64 .text
          79cd50           79cd50       26    16         /usr/lib/crt1.o:(.text)
          79cd80           79cd80       20    16         /t/libdhow_sys-1f.rlib(a.o):(.text._RNvCs1a2B_8dhow_sys4call)
          79cd80           79cd80       20     1                 _RNvCs1a2B_8dhow_sys4call
          79cda0           79cda0      100    64         /usr/lib/libc.a(memmove.o):(.text.evex)
          100000           100000       20     8         /t/libdhow_sys-1f.rlib(a.o):(.rodata._RNvCs1a2B_8dhow_sys4call.llvm.12)
";

    #[test]
    fn a_map_is_read() {
        let sections = Sections::parse(MAP);

        assert_eq!(sections.code.len(), 3);
        assert_eq!(sections.around(0x79_cd81), Some(0x79_cd80..0x79_cda0));
        assert_eq!(sections.around(0x79_cd4f), None);
        assert_eq!(sections.around(0x79_cfff), None);
    }

    #[test]
    fn sections_are_named_without_hashes() {
        let sections = Sections::parse(MAP);
        let patterns: Vec<_> = sections.code.values().filter_map(pattern).collect();

        let expected = [
            "*crt1.o(.text)",
            "*(.text._RNvCs*_8dhow_sys4call .text._RNvCs*_8dhow_sys4call.llvm.*)",
            "*libc.a:memmove.o(.text.evex)",
        ];
        assert_eq!(patterns, expected);
        let constants: Vec<_> =
            sections.code.values().filter_map(|code| sections.constants_of(code)).collect();
        assert_eq!(
            constants,
            ["*(.rodata._RNvCs*_8dhow_sys4call .rodata._RNvCs*_8dhow_sys4call.llvm.*)"]
        );
        assert_eq!(without_hashes("_RINvCs0a_1bCsZ_1c.llvm.77"), "_RINvCs*_1bCs*_1c");
    }

    #[test]
    fn what_all_run_comes_first() {
        let traces = [BTreeSet::from([1, 2, 5]), BTreeSet::from([2, 3]), BTreeSet::from([2, 5])];

        assert_eq!(order(&traces), [2, 5, 1, 3]);
    }
}
