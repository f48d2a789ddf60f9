//! `lab`: what this machine's kernel or cgroup layout cannot show, on a kernel of Debian's.
//!
//! ```text
//!   Kernel::prepare ──▶ cpio tree: busybox, dhow, the built test programs ──▶ QEMU ──▶ lines read
//!                                  or Debian with systemd in busybox's place
//! ```
//!
//! Each boot is a machine of its own, with cgroups of version 2 alone, and runs the project's own
//! test programs where they find what they need: the same tests, another kernel. A test that misses
//! something skips aloud there as everywhere. Nothing is installed on the host, and no service is
//! started there.

mod cpio;
mod emulator;
mod kernel;

use crate::{
    machine::{self, Install},
    say,
    suite::{self, Tally},
    workspace::Workspace,
};
use cpio::Tree;
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_testkit::{need, rootfs};
use emulator::Machine;
use kernel::{Kernel, said};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

/// How long a boot may take. All instructions are emulated, and a busy machine halves that again.
const LIMIT: Duration = Duration::from_secs(1500);
/// What the kernel's modules give to all tests, and to those of networks.
const MODULES: [&str; 3] = ["overlay", "veth", "dummy"];
const NETWORK_MODULES: [&str; 27] = [
    "sctp",
    "bridge",
    "8021q",
    "macvlan",
    "ipvlan",
    "ifb",
    "sch_tbf",
    "sch_ingress",
    "act_mirred",
    "cls_matchall",
    "nf_log_syslog",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_connlimit",
    "nft_fib_inet",
    "nft_limit",
    "nft_log",
    "nft_masq",
    "nft_nat",
    "nft_numgen",
    "nft_queue",
    "nft_quota",
    "nft_redir",
    "nft_reject_inet",
    "nft_socket",
    "nf_conntrack_netlink",
];
/// File systems that bound directories, and a server of files with its client.
const VOLUME_MODULES: [&str; 5] = ["loop", "xfs", "quota_v2", "nfsd", "nfsv4"];
/// Programs of the host's that tests call, besides busybox's.
const TOOLS: [&str; 7] = ["setpriv", "setsid", "newuidmap", "newgidmap", "ip", "nft", "tc"];
/// What no test reads of Debian's root: it is read into the memory of each machine. Without the
/// timers nothing of apt's wakes up between tests.
const DEBIAN_SKIPS: [&str; 13] = [
    "dev",
    "etc/systemd/system/timers.target.wants",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/zoneinfo",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
];
/// What the features of AppArmor are that a profile is compiled for: the parser's own list, which
/// is older than every kernel of the lab.
const APPARMOR_FEATURES: &str = "/usr/share/apparmor-features/features";

/// Arguments of `cargo xtask lab`
#[derive(clap::Args, Debug)]
pub(crate) struct LabArgs {
    /// Boot only these: v2, networks, volumes, systemd, apparmor, selinux
    boots: Vec<String>,

    /// Print everything that the machine prints
    #[arg(long)]
    verbose: bool,

    /// Run only the tests whose name holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// A machine to boot, and which tests it runs.
#[derive(Debug)]
struct Boot {
    name: &'static str,
    first: First,
    /// Words for the kernel.
    words: &'static str,
    /// Modules of the kernel's besides those of all machines.
    modules: &'static [&'static str],
    /// What is loaded into the kernel before the tests.
    policy: Option<Policy>,
    /// Programs of the host's besides those of all machines. Whoever misses one skips aloud there.
    tools: &'static [&'static str],
    /// How many tests of a program run at once. They are threads of one process, so while one starts a
    /// program, that has the others' sockets until its `exec`: tests of who has a port run alone.
    threads: u32,
    /// Packages whose test programs run, each with filters of test names (none: all tests).
    tests: &'static [(&'static str, &'static [&'static str])],
}

/// Process 1 of a machine, and with it what else is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum First {
    /// A script on busybox, which runs the tests two at a time.
    Script,
    /// Debian's systemd, to which one test after the other speaks: its units have names.
    Systemd,
}

impl First {
    /// Where in the archive the machine's root is.
    fn root(self) -> &'static str {
        match self {
            Self::Script => "",
            Self::Systemd => "debian/",
        }
    }
}

/// Rules of a security module.
#[derive(Clone, Copy, Debug)]
enum Policy {
    AppArmor,
    SeLinux,
}

const BOOTS: [Boot; 6] = [
    Boot {
        name: "v2",
        first: First::Script,
        words: "cgroup_no_v1=all",
        modules: &[],
        policy: None,
        tools: &["crun", "runc"],
        threads: 2,
        tests: &[
            ("dhow-cgroup", &[]),
            ("dhow-runtime", &[]),
            ("dhow-cli", &["hello::", "runtime_exec::", "runtime_terminal::"]),
            ("dhow-conformance", &["::dhow", "cgroups::", "side_by_side::"]),
        ],
    },
    Boot {
        name: "networks",
        first: First::Script,
        words: "cgroup_no_v1=all",
        modules: &NETWORK_MODULES,
        policy: None,
        tools: &[],
        threads: 1,
        tests: &[("dhow-network", &[])],
    },
    Boot {
        name: "volumes",
        first: First::Script,
        words: "cgroup_no_v1=all",
        modules: &VOLUME_MODULES,
        policy: None,
        tools: &["mkfs.ext4", "mkfs.xfs"],
        threads: 1,
        tests: &[("dhow-cli", &["volumes::a_size", "volumes::a_volume_may_lie_on_a_server"])],
    },
    Boot {
        name: "systemd",
        first: First::Systemd,
        words: "cgroup_no_v1=all systemd.show_status=false",
        modules: &[],
        policy: None,
        tools: &[],
        threads: 1,
        tests: &[("dhow-cli", &["runtime_systemd::", "rootless_systemd::"])],
    },
    Boot {
        name: "apparmor",
        first: First::Script,
        words: "cgroup_no_v1=all lsm=apparmor apparmor=1",
        modules: &[],
        policy: Some(Policy::AppArmor),
        tools: &[],
        threads: 2,
        tests: &[("dhow-runtime", &["labels::"])],
    },
    Boot {
        name: "selinux",
        first: First::Script,
        words: "cgroup_no_v1=all lsm=selinux selinux=1 enforcing=0",
        modules: &[],
        policy: Some(Policy::SeLinux),
        tools: &[],
        threads: 2,
        tests: &[("dhow-runtime", &["labels::"]), ("dhow-cli", &["selinux::"])],
    },
];

/// Boots what was asked for; fails where a test of it did.
pub(crate) fn run(args: &LabArgs, workspace: &Workspace) -> Result<ExitCode> {
    machine::prepare(Install::Allowed)?;
    let known = |name: &&String| BOOTS.iter().all(|boot| boot.name != name.as_str());
    if let Some(unknown) = args.boots.iter().find(known) {
        let names = BOOTS.map(|boot| boot.name).join(", ");
        return Err(Error::new(Kind::NotFound, format!("boot {unknown:?}")).hint(names));
    }
    let tally = boot_all(workspace, args)?;
    say(&tally.line())?;
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lab as a part of all tests, each boot with a line of its own.
pub(crate) fn as_tests(workspace: &Workspace) -> Result<Tally> {
    let tools = ["qemu-system-x86_64", "busybox", "dpkg-deb", "depmod"];
    if let Some(missing) = tools.iter().find(|tool| need::tool(tool).is_none()) {
        say(&format!("skipped: the lab needs {missing}"))?;
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    boot_all(workspace, &LabArgs { boots: Vec::new(), verbose: false, filter: None })
}

fn boot_all(workspace: &Workspace, args: &LabArgs) -> Result<Tally> {
    let target = suite::target_directory(&workspace.root)?;
    let kernel = Kernel::prepare(&target)?;
    let asked = |boot: &&Boot| args.boots.is_empty() || args.boots.iter().any(|a| a == boot.name);
    let boots: Vec<&Boot> = BOOTS.iter().filter(asked).collect();
    let packages: BTreeSet<&str> =
        boots.iter().flat_map(|boot| boot.tests).map(|(package, _)| *package).collect();
    // Beside all other tests, what was built for those is there already.
    let of = packages.iter().flat_map(|package| ["--package", package]).collect();
    let selection: Vec<&str> = if args.boots.is_empty() { vec!["--workspace"] } else { of };
    let programs = Programs::build(&workspace.root, &selection)?;
    let mut all = Tally::default();
    for boot in boots {
        if boot.first == First::Systemd && need::tool("mmdebstrap").is_none() {
            say(&format!("skipped: lab {} needs mmdebstrap", boot.name))?;
            all.add(Tally { skipped: 1, ..Tally::default() });
            continue;
        }
        let tally = boot.run(&kernel, &programs, &workspace.root, args)?;
        say(&format!("lab {}: {}", boot.name, tally.line()))?;
        all.add(tally);
    }
    Ok(all)
}

impl Boot {
    /// Boots it, and counts what became of its tests.
    fn run(
        &self,
        kernel: &Kernel,
        programs: &Programs,
        root: &Path,
        args: &LabArgs,
    ) -> Result<Tally> {
        let doing = || format!("boot {} in the lab", self.name);
        let own = tempfile::tempdir().doing(doing)?;
        let tree = self.tree(kernel, programs, root, args.filter.as_deref()).doing(doing)?;
        let files = own.path().join("files.cpio");
        file::write_new(&files, &tree.archive(), 0o600, Durability::Cached).doing(doing)?;
        let machine = Machine {
            kernel: &kernel.image,
            files: &files,
            words: self.words,
            memory_mib: 3072,
            limit: LIMIT,
        };
        let mut transcript = Transcript::new(args.verbose);
        machine.run(&mut |line| transcript.hear(line)).or_else(|error| transcript.fail(&error))?;
        transcript.close(self.name)
    }

    fn tree(
        &self,
        kernel: &Kernel,
        programs: &Programs,
        root: &Path,
        filter: Option<&str>,
    ) -> Result<Tree> {
        let mut tree = Tree::default();
        let top = self.first.root();
        put_first(&mut tree, self)?;
        tree.copy(&format!("{top}lab/dhow"), &programs.product)?;
        tree.add(&format!("{top}lab/tests.sh"), include_bytes!("lab/guest/tests.sh").to_vec());
        put_modules(&mut tree, kernel, self.modules)?;
        let mut script = self.put_policy(&mut tree, root)?;
        if self.name == "volumes" {
            script.push_str(include_str!("lab/guest/volumes.sh"));
        }
        for (package, filters) in self.tests {
            for program in programs.of(package).filter(|one| one.path != programs.product) {
                tree.copy(&format!("{top}{}", program.place()), &program.path)?;
                if program.role == Role::Test {
                    let filters = filter.map_or_else(|| filters.to_vec(), |one| vec![one]);
                    script.push_str(&program.command(&filters, self.threads));
                }
            }
        }
        tree.add(&format!("{top}lab/boot.sh"), script.into_bytes());
        Ok(tree)
    }

    /// Compiles the rules and returns what loads them.
    fn put_policy(&self, tree: &mut Tree, root: &Path) -> Result<String> {
        let own = tempfile::tempdir().doing(|| "make a directory for compiled rules")?;
        let out = own.path().join("out");
        let guest = root.join("crates/xtask/src/lab/guest");
        match self.policy {
            None => Ok(String::new()),
            Some(Policy::AppArmor) => {
                said(
                    Command::new("apparmor_parser")
                        .args(["--skip-cache", "--skip-kernel-load"])
                        .args(["--kernel-features", APPARMOR_FEATURES])
                        .args(["--policy-features", APPARMOR_FEATURES, "--ofile"])
                        .arg(&out)
                        .arg(guest.join("profile.apparmor")),
                )?;
                tree.copy("lab/profile", &out)?;
                Ok(include_str!("lab/guest/apparmor.sh").to_owned())
            }
            Some(Policy::SeLinux) => {
                let more = own.path().join("categories.cil");
                file::write_new(&more, categories().as_bytes(), 0o600, Durability::Cached)?;
                said(
                    Command::new("secilc")
                        .arg("--output")
                        .arg(&out)
                        .args(["--filecontext", "/dev/null"])
                        .arg(guest.join("policy.cil"))
                        .arg(&more),
                )?;
                tree.copy("lab/policy", &out)?;
                Ok(include_str!("lab/guest/selinux.sh").to_owned())
            }
        }
    }
}

/// As many categories as the policies of distributions have, which is no text to be read.
fn categories() -> String {
    let names: Vec<String> = (0..1024).map(|number| format!("c{number}")).collect();
    let all: String = names.iter().map(|name| format!("(category {name})\n")).collect();
    format!("{all}(categoryorder ({}))\n", names.join(" "))
}

/// What runs first, and the programs that it and the tests call.
fn put_first(tree: &mut Tree, boot: &Boot) -> Result<()> {
    let busybox = need::tool("busybox").unwrap_or_default();
    tree.copy("bin/busybox", &busybox)?;
    if boot.first == First::Script {
        tree.add("init", include_bytes!("lab/guest/init.sh").to_vec());
        for tool in TOOLS.iter().chain(boot.tools).filter_map(|name| need::tool(name)) {
            put_tool(tree, &tool)?;
        }
        // nft knows protocols by the names that are listed here.
        let protocols = Path::new("/etc/protocols");
        if protocols.exists() {
            tree.copy("lab/protocols", protocols)?;
        }
        return Ok(());
    }
    let debian = boot.first.root();
    tree.add("init", include_bytes!("lab/guest/systemd.sh").to_vec());
    tree.copy_tree(debian.trim_end_matches('/'), rootfs::systemd()?.path(), &DEBIAN_SKIPS)?;
    tree.copy(&format!("{debian}usr/local/bin/busybox"), &busybox)?;
    // Empty, it is made up at each boot; where it is missing, a first boot would set up services.
    tree.add(&format!("{debian}etc/machine-id"), Vec::new());
    let units = format!("{debian}etc/systemd/system");
    let service = include_bytes!("lab/guest/lab.service").to_vec();
    tree.add(&format!("{units}/lab.service"), service);
    tree.add(&format!("{units}/lab.target"), include_bytes!("lab/guest/lab.target").to_vec());
    Ok(())
}

fn put_modules(tree: &mut Tree, kernel: &Kernel, more: &[&str]) -> Result<()> {
    let mut order = String::new();
    let mut known = BTreeSet::new();
    for name in MODULES.iter().chain(more) {
        for path in kernel.module(name)? {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !known.insert(file.clone()) {
                continue;
            }
            tree.copy(&format!("lab/modules/{file}"), &path)?;
            order.push_str(&format!("{file}\n"));
        }
    }
    tree.add("lab/modules/order", order.into_bytes());
    Ok(())
}

/// A program with the libraries that it is linked to, as the host has them.
fn put_tool(tree: &mut Tree, program: &Path) -> Result<()> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    tree.copy(&format!("tools/{name}"), program)?;
    let listed = said(Command::new("ldd").arg(program))?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths {
        tree.copy(path.trim_start_matches('/'), Path::new(path))?;
    }
    Ok(())
}

/// What cargo has built: the product, every test program of the workspace, and what those call.
#[derive(Debug)]
struct Programs {
    product: PathBuf,
    all: Vec<Program>,
}

/// A test program, or one that such a program calls.
#[derive(Debug)]
struct Program {
    package: String,
    name: String,
    role: Role,
    path: PathBuf,
}

/// What a program is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Test,
    Example,
    /// Beside the tests of its package, whose `Cargo.toml` names it.
    Binary,
}

impl Programs {
    fn build(root: &Path, selection: &[&str]) -> Result<Self> {
        let product = suite::build(root)?;
        let output = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--tests", "--examples"])
            .args(selection)
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .doing(|| "build the tests for the lab")?;
        if !output.status.success() {
            return Err(Error::new(Kind::Invalid, "build the tests for the lab"));
        }
        let messages = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Self { product, all: messages.lines().filter_map(Program::of_message).collect() })
    }

    fn of<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a Program> {
        self.all.iter().filter(move |program| program.package == package)
    }
}

impl Program {
    /// The program that one of cargo's messages tells of.
    fn of_message(line: &str) -> Option<Self> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let path = PathBuf::from(message["executable"].as_str()?);
        let kinds = message["target"]["kind"].as_array()?;
        let roles = [
            ("test", Role::Test),
            ("lib", Role::Test),
            ("example", Role::Example),
            ("bin", Role::Binary),
        ];
        let is = |word: &str| kinds.iter().any(|kind| kind == word);
        let (kind, role) = roles.into_iter().find(|(word, _)| is(word))?;
        let is_harness = message["profile"]["test"] == true;
        // A library's unit tests are a program. Another program has one of its own as well, with its
        // unit tests.
        if (kind == "lib" && !is_harness) || (role != Role::Test && is_harness) {
            return None;
        }
        // `path+file:///…/crates/cgroup#dhow-cgroup@0.1.0`
        let (_, tail) = message["package_id"].as_str()?.split_once('#')?;
        let package = tail.split('@').next()?.to_owned();
        let name = message["target"]["name"].as_str()?.to_owned();
        Some(Self { package, name, role, path })
    }

    /// Where it lies in the machine: examples beside tests, as cargo has it.
    fn place(&self) -> String {
        let folder = match self.role {
            Role::Test => "deps/",
            Role::Example => "examples/",
            Role::Binary => "",
        };
        format!("lab/{}/{folder}{}", self.package, self.name)
    }

    fn command(&self, filters: &[&str], threads: u32) -> String {
        format!(
            "echo; echo '@@ begin {}: {}'\nrun_tests {threads} /{} {}\n",
            self.package,
            self.name,
            self.place(),
            filters.join(" ")
        )
    }
}

/// What a machine says, and what it means.
#[derive(Debug)]
struct Transcript {
    verbose: bool,
    lines: Vec<String>,
    tally: Tally,
    /// Programs that have begun and not ended.
    open: u32,
    has_ended: bool,
}

impl Transcript {
    fn new(verbose: bool) -> Self {
        Self { verbose, lines: Vec::new(), tally: Tally::default(), open: 0, has_ended: false }
    }

    fn hear(&mut self, line: &str) {
        if self.verbose {
            // Whoever does not listen any more still gets the result.
            let _heard = say(line);
        }
        match line.strip_prefix("@@ ") {
            Some("end") => self.has_ended = true,
            Some(rest) if rest.starts_with("begin ") => self.open += 1,
            Some(rest) if rest.starts_with("ended ") => self.open = self.open.saturating_sub(1),
            Some(rest) if rest.starts_with("trouble: ") => self.tally.failed += 1,
            Some(rest) if rest.starts_with("flaky: ") => self.tally.forgive_one(),
            _ => {
                self.tally.add(suite::count_of_cargo(line));
                if line.starts_with("skipped: ") {
                    // The test passed for its runner, which cannot know better.
                    self.tally.passed = self.tally.passed.wrapping_sub(1);
                    self.tally.skipped += 1;
                }
            }
        }
        self.lines.push(line.to_owned());
    }

    /// A machine that did not end in time has failed, and its last words tell where.
    fn fail(&mut self, error: &Error) -> Result<()> {
        self.lines.push(error.one_line());
        self.has_ended = false;
        Ok(())
    }

    /// Prints what went wrong; the count.
    fn close(mut self, name: &str) -> Result<Tally> {
        if !self.has_ended || self.open > 0 {
            self.tally.failed += 1;
            self.lines.push(format!("lab {name}: the machine ended before its tests"));
        }
        let has_failed = self.tally.failed > 0;
        if !self.verbose {
            let matters = |line: &&String| match line.strip_prefix("@@ flaky: ") {
                Some(_) => true,
                None => has_failed && !line.ends_with(" ... ok"),
            };
            self.lines.iter().filter(matters).try_for_each(|line| say(line))?;
        }
        Ok(self.tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_dies_early_has_failed() {
        let mut transcript = Transcript::new(true);
        transcript.hear("@@ begin dhow-cgroup: kernel");
        transcript.hear("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured");

        let tally = transcript.close("v2").expect("printing");

        assert_eq!((tally.passed, tally.failed), (3, 1));
    }

    #[test]
    fn a_test_that_passed_when_tried_again_has_passed() {
        let mut transcript = Transcript::new(true);
        for line in [
            "@@ begin dhow-cgroup: kernel",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured",
            "@@ flaky: life::it_ends",
            "@@ ended with 101",
            "@@ end",
        ] {
            transcript.hear(line);
        }

        let tally = transcript.close("v2").expect("printing");

        assert_eq!((tally.passed, tally.failed), (4, 1));
    }

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let line = r##"{"reason":"compiler-artifact","package_id":"path+file:///x/crates/cgroup#dhow-cgroup@0.1.0",
            "target":{"name":"kernel","kind":["test"]},"executable":"/t/deps/kernel-12"}"##;

        let program = Program::of_message(line).expect("a program");

        assert_eq!(program.place(), "lab/dhow-cgroup/deps/kernel");
        assert_eq!(program.role, Role::Test);
        let library = line.replace("[\"test\"]", "[\"lib\"]");
        assert!(Program::of_message(&library).is_none());
        let units = library.replace("\"executable\"", "\"profile\":{\"test\":true},\"executable\"");
        assert_eq!(Program::of_message(&units).map(|one| one.role), Some(Role::Test));
    }
}
