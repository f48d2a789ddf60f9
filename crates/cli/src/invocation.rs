//! One run of the command line: the global flags, the environment, the console, and the way to the
//! engine.

use crate::{
    console::{Colour, Console, ErrorFormat, Level},
    containers_conf::{ContainersConf, Places},
    env::{self, Environment},
    flags::{self, Surroundings, refuse},
    manners::Manners,
    render::progress::Reporter,
    user::Ordinary,
};
use clap::FromArgMatches;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_engine::{Engine, Purpose, Settings};
use dhow_image::{Bounds, Driver, Images, LayerBlobs, PolicyFile, Registries};
use dhow_spec::image::Platform;
use dhow_state::State;
use std::{
    ffi::OsString,
    io::Write,
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

/// Flags before the command.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Globals {
    /// Keep images and containers in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Keep what a reboot may take in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) runroot: Option<PathBuf>,

    /// Keep snapshots by this driver: overlay, erofs, plain or btrfs
    #[arg(long, value_name = "DRIVER")]
    pub(crate) storage_driver: Option<String>,

    /// Discard the blobs of layers that a registry has, once they are unpacked
    #[arg(long)]
    pub(crate) discard_layers: bool,

    /// Let images have as much of this as the number says, and no more (can be repeated): entries,
    /// unpacked, file, path, component, depth, header, xattr, regions, ratio, ratio-from, memory,
    /// remembered, layers or download
    #[arg(long = "limit", value_name = "NAME=NUMBER")]
    pub(crate) limits: Vec<String>,

    /// It is a command of an ordinary user's who is root of the namespace that it begins in
    #[arg(long, hide = true)]
    pub(crate) of_user: bool,

    /// Say errors only, also warnings, or also notes
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info")]
    pub(crate) log_level: Level,

    /// Say errors, warnings and notes as text, or as json (one object a line)
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(crate) error_format: ErrorFormat,

    /// Use colour for messages
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: Colour,
}

impl Globals {
    /// The global flags of a parsed command line.
    pub(crate) fn of(matches: &clap::ArgMatches) -> Self {
        Self::from_arg_matches(matches).unwrap_or_default()
    }
}

/// Everything that a command is given beside its own arguments.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) globals: Globals,
    pub(crate) environment: Environment,
    pub(crate) console: Console,
    /// The whole command line.
    pub(crate) arguments: Vec<OsString>,
    /// Where relative paths start.
    pub(crate) directory: PathBuf,
    /// Where the user wants temporary files.
    pub(crate) tmpdir: Option<PathBuf>,
    /// Whether certificates are checked, where a command's own flags do not say.
    pub(crate) tls_verify: Option<bool>,
    /// Which policy says from where images are taken, where it is not the usual one.
    pub(crate) policy: Option<PolicyFile>,
    /// The platform that every command of this run means.
    pub(crate) platform: Option<Platform>,
    /// Whose manners the commands have.
    pub(crate) manners: Manners,
    /// Who types, where it is not root.
    pub(crate) user: Option<Ordinary>,
}

impl Invocation {
    pub(crate) fn new(globals: Globals, environment: Environment, console: Console) -> Self {
        // A directory that was removed under us is no reason to fail: only relative paths need it,
        // and those fail by themselves.
        let directory = std::env::current_dir().unwrap_or_default();
        let user = Ordinary::of(&environment, globals.of_user);
        Self {
            globals,
            environment,
            console,
            arguments: Vec::new(),
            directory,
            tmpdir: None,
            tls_verify: None,
            policy: None,
            platform: None,
            manners: Manners::Dhow,
            user,
        }
    }

    /// Goes to where the user has rights over their containers. The process must have one thread.
    pub(crate) fn enter(&self) -> Result<()> {
        // Who is there already is root.
        if self.user.is_none_or(|user| user.is_inside) || rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let (_, runroot) = self.roots()?;
        dhow_monitor::secure_directory(&runroot)?;
        if let Some(one) = dhow_monitor::enter(&runroot)? {
            self.console.warning(&format!(
                "containers have one user id only, since {}: images with files of several users \
                 cannot be unpacked",
                one.missing
            ));
        }
        Ok(())
    }

    /// What mounts something for its user to look at: it is to be seen in `dhow unshare` only.
    pub(crate) fn sees_mounts(&self, command: &str) -> Result<()> {
        if self.user.is_none_or(|user| user.is_inside) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Invalid,
            format!("{command} for a user who is not root: nobody would see it"),
        )
        .hint("run it in a shell of `dhow unshare`"))
    }

    /// The command line, and where it was given, so that it can be given again; nothing where it is
    /// no text.
    pub(crate) fn command_line(&self) -> (Vec<String>, String) {
        let words = self.arguments.iter().map(|word| word.to_str().map(str::to_owned));
        match (words.collect(), self.directory.to_str()) {
            (Some(words), Some(directory)) => (words, directory.to_owned()),
            _ => (Vec::new(), String::new()),
        }
    }

    /// What flags may look at.
    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { variable: &env::variable, directory: &self.directory, manners: self.manners }
    }

    /// What `containers.conf` says.
    pub(crate) fn containers_conf(&self) -> Result<ContainersConf> {
        let own = self.user.and_then(|_| self.configuration());
        let conf = ContainersConf::read(Places {
            only: self.environment.containers_conf.as_deref(),
            last: self.environment.containers_conf_override.as_deref(),
            own: own.as_deref(),
        })?;
        conf.warnings.iter().for_each(|text| self.console.warning(text));
        Ok(conf)
    }

    /// Opens the engine.
    pub(crate) fn engine(&self) -> Result<Engine> {
        self.engine_with(self.registries())
    }

    /// Opens the engine with registries that a command's flags have changed.
    pub(crate) fn engine_with(&self, registries: Registries) -> Result<Engine> {
        Engine::open(self.settings(registries)?)
    }

    fn settings(&self, registries: Registries) -> Result<Settings> {
        let (root, runroot) = self.roots()?;
        let storage_driver = self.storage_driver()?;
        let bounds = self.bounds()?;
        let layer_blobs = self.layer_blobs()?;
        let warn: fn(&str) = match self.globals.error_format {
            ErrorFormat::Text => warn,
            ErrorFormat::Json => warn_in_json,
        };
        let purpose = Purpose::Any;
        Ok(Settings {
            root,
            runroot,
            registries,
            storage_driver,
            bounds,
            layer_blobs,
            warn,
            purpose,
            is_of_root: self.user.is_none(),
        })
    }

    /// As [`Invocation::engine_with`], for a command that ends soon after: what the kernel takes back
    /// at once is not given back piece by piece.
    pub(crate) fn last_engine(
        &self,
        registries: Registries,
        purpose: Purpose,
    ) -> Result<ManuallyDrop<Engine>> {
        let settings = Settings { purpose, ..self.settings(registries)? };
        Engine::open(settings).map(ManuallyDrop::new)
    }

    /// How snapshots are to be kept, where that was said.
    fn storage_driver(&self) -> Result<Option<Driver>> {
        let (flag, variable) =
            (self.globals.storage_driver.as_ref(), self.environment.storage_driver.as_ref());
        let Some(word) = flag.or(variable) else { return Ok(None) };
        // podman's and docker's word for whole trees.
        let word = if word == "vfs" { Driver::Plain.word() } else { word };
        Driver::from_word(word).map(Some).map_err(|_| {
            refuse("--storage-driver", word, "there is no such driver")
                .hint("there are overlay, erofs, plain and btrfs")
        })
    }

    /// What is done with the blobs of layers that were unpacked.
    fn layer_blobs(&self) -> Result<LayerBlobs> {
        let variable = self.environment.discard_layers.as_deref().unwrap_or("false");
        let discards = crate::tree::switch(variable).map_err(|why| {
            refuse("DHOW_DISCARD_LAYERS", variable, &why).hint("write true or false")
        })?;
        Ok(match self.globals.discard_layers || discards {
            true => LayerBlobs::Discard,
            false => LayerBlobs::Keep,
        })
    }

    /// What images may ask for: as the variable says, and where it says otherwise, as the flags do.
    pub(crate) fn bounds(&self) -> Result<Bounds> {
        let mut bounds = Bounds::default();
        let variable = self.environment.limits.iter().flat_map(|words| words.split(','));
        let words = variable.map(|word| ("DHOW_LIMITS", word));
        for (place, word) in
            words.chain(self.globals.limits.iter().map(|word| ("--limit", &**word)))
        {
            let (name, number) = word
                .trim()
                .split_once('=')
                .ok_or_else(|| refuse(place, word, "not a limit").hint("write NAME=NUMBER"))?;
            if !bounds.set(name, flags::limits::bytes(place, number)?) {
                let names: Vec<&str> = Bounds::names().map(|(name, _)| name).collect();
                return Err(refuse(place, word, "there is no such limit")
                    .hint(format!("there are {}", names.join(", "))));
            }
        }
        Ok(bounds)
    }

    /// How a pull is shown.
    pub(crate) fn progress(&self, quiet: bool) -> Reporter {
        self.progress_of("pulling", quiet)
    }

    /// How other work on layers is shown.
    pub(crate) fn progress_of(&self, verb: &'static str, quiet: bool) -> Reporter {
        Reporter::new(self.console, verb, quiet, self.environment.columns)
    }

    /// Does something with images, and with the database of our own where that is needed.
    pub(crate) fn with_images<T>(
        &self,
        ours: bool,
        work: impl FnOnce(&Images, Option<&mut State>) -> Result<T>,
    ) -> Result<T> {
        if ours {
            self.enter()?;
            let mut engine = self.engine()?;
            let (images, state) = engine.images();
            return work(images, Some(state));
        }
        let (root, runroot) = self.roots()?;
        let images = Images::open(&root, &runroot, self.registries())?;
        let images = images.stored_by(self.storage_driver()?).within(self.bounds()?);
        work(&images.with_scratch(self.scratch()), None)
    }

    /// The database, to look into it; none where there is none that can be read.
    pub(crate) fn state_to_read(&self) -> Result<State> {
        State::open_to_read(&self.roots()?.0)
    }

    /// Where files without names may lie that are worth more than memory.
    pub(crate) fn scratch(&self) -> PathBuf {
        let usual = || self.environment.tmpdir.clone().unwrap_or_else(|| "/var/tmp".into());
        self.tmpdir.clone().unwrap_or_else(usual)
    }

    /// Whether a container has a terminal.
    pub(crate) fn has_terminal(&self, engine: &mut Engine, container: &str) -> Result<bool> {
        Ok(engine.inspect(container)?["Config"]["Tty"].as_bool().unwrap_or(false))
    }

    /// What survives a reboot, and what need not: for another run of this program.
    pub(crate) fn places(&self) -> Result<(PathBuf, PathBuf)> {
        self.roots()
    }

    fn roots(&self) -> Result<(PathBuf, PathBuf)> {
        let Environment { root, runroot, home, data_home, runtime_dir, .. } = &self.environment;
        let is_root = self.user.is_none();
        let data = || data_home.clone().or_else(|| Some(home.as_ref()?.join(".local/share")));
        let usual_root =
            || if is_root { Some("/var/lib".into()) } else { data() }.map(|at| at.join("dhow"));
        let usual_runroot = || {
            if is_root {
                return Some(PathBuf::from("/run/dhow"));
            }
            let own = runtime_dir.as_ref().map(|at| at.join("dhow"));
            own.or_else(|| self.user.map(|user| dhow_monitor::usual_runtime_directory(user.uid)))
        };
        let pick = |flag: &Option<PathBuf>, variable: &Option<PathBuf>| {
            flag.clone().or_else(|| variable.clone())
        };
        let missing = |what: &str, how: &str| {
            Error::new(Kind::Invalid, format!("find the place for {what}")).hint(how.to_owned())
        };
        let root = pick(&self.globals.root, root)
            .or_else(usual_root)
            .ok_or_else(|| missing("images and containers", "set HOME, or use --root"))?;
        let runroot =
            pick(&self.globals.runroot, runroot).or_else(usual_runroot).ok_or_else(|| {
                missing("running containers", "set XDG_RUNTIME_DIR, or use --runroot")
            })?;
        Ok((self.absolute(&root)?, self.absolute(&runroot)?))
    }

    /// Monitors have no working directory of ours, so all paths that they hear of are absolute.
    fn absolute(&self, path: &Path) -> Result<PathBuf> {
        std::path::absolute(self.directory.join(path))
            .doing(|| format!("find the directory {}", path.display()))
    }

    /// What the environment says of registries; the rest is as the ecosystem has it.
    pub(crate) fn registries(&self) -> Registries {
        let mut registries = Registries::default();
        let environment = &self.environment;
        registries.proxies.http.clone_from(&environment.http_proxy);
        registries.proxies.https.clone_from(&environment.https_proxy);
        registries.proxies.except.clone_from(&environment.no_proxy);
        if let Some(path) = &environment.certificates {
            registries.ca_bundles.insert(0, path.clone());
        }
        if let Some(verify) = self.tls_verify {
            registries.tls_verify = verify.into();
        }
        self.configure_paths(&mut registries);
        if let Some(policy) = &self.policy {
            registries.policy.clone_from(policy);
        } else if let (Some(home), PolicyFile::Usual(files)) =
            (&environment.home, &mut registries.policy)
        {
            // Root's own counts as well, unlike with registries.conf: so podman has it.
            files.insert(0, home.join(".config/containers/policy.json"));
        }
        registries.auth_files = self.auth_files();
        registries
    }

    fn configure_paths(&self, registries: &mut Registries) {
        let Some(configuration) = self.configuration() else { return };
        if self.user.is_some() {
            let own = configuration.join("containers/registries.conf");
            if own.exists() {
                registries.registries_conf = own;
            }
            registries
                .registries_conf_dirs
                .push(configuration.join("containers/registries.conf.d"));
            registries.certs_dirs.insert(0, configuration.join("containers/certs.d"));
            let Environment { cache_home, home, .. } = &self.environment;
            let cache = cache_home.clone().or_else(|| Some(home.as_ref()?.join(".cache")));
            registries.short_name_aliases =
                cache.map(|cache| cache.join("containers/short-name-aliases.conf"));
        }
        if let Some(path) = &self.environment.registries_conf {
            registries.registries_conf.clone_from(path);
            // As podman has it: who names the file means the file alone.
            registries.registries_conf_dirs.clear();
        }
    }

    fn configuration(&self) -> Option<PathBuf> {
        let Environment { config_home, home, .. } = &self.environment;
        config_home.clone().or_else(|| Some(home.as_ref()?.join(".config")))
    }

    /// Where credentials may be, the most important first.
    fn auth_files(&self) -> Vec<PathBuf> {
        let Environment { auth_file, runtime_dir, docker_config, home, .. } = &self.environment;
        if let Some(path) = auth_file {
            return vec![path.clone()];
        }
        let uid = self.user.map_or(0, |user| user.uid);
        let runtime = match runtime_dir {
            Some(directory) => directory.join("containers/auth.json"),
            None => PathBuf::from(format!("/run/containers/{uid}/auth.json")),
        };
        let docker = docker_config
            .clone()
            .or_else(|| Some(home.as_ref()?.join(".docker")))
            .map(|directory| directory.join("config.json"));
        let own = self.configuration().map(|directory| directory.join("containers/auth.json"));
        std::iter::once(runtime).chain(own).chain(docker).collect()
    }
}

/// The same for programs.
fn warn_in_json(text: &str) {
    let line = format!("{}\n", serde_json::json!({ "level": "warning", "message": text }));
    // Where nobody listens on standard error there is nobody to tell of it.
    let _written = std::io::stderr().lock().write_all(line.as_bytes());
}

/// The engine's troubles, which do not stop it.
fn warn(text: &str) {
    let line = format!("warning: {}\n", crate::render::text::escaped(text));
    // Where nobody listens on standard error there is nobody to tell of it.
    let _written = std::io::stderr().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(environment: Environment) -> Invocation {
        let console = Console::new(Colour::Never, Level::Info, true, None);
        let directory = "/here".into();
        Invocation { directory, ..Invocation::new(Globals::default(), environment, console) }
    }

    #[test]
    fn flags_win_over_variables_and_paths_become_absolute() {
        let mut invocation = invocation(Environment {
            root: Some("/variable".into()),
            runroot: Some("relative".into()),
            ..Environment::default()
        });
        assert_eq!(invocation.roots().unwrap(), ("/variable".into(), "/here/relative".into()));

        invocation.globals.root = Some("flag/./x".into());

        assert_eq!(invocation.roots().unwrap().0, Path::new("/here/flag/x"));
    }

    #[test]
    fn a_named_auth_file_is_the_only_one() {
        let named = invocation(Environment {
            auth_file: Some("/auth".into()),
            home: Some("/home".into()),
            ..Environment::default()
        });
        let usual = invocation(Environment {
            home: Some("/home".into()),
            runtime_dir: Some("/run/user/1".into()),
            ..Environment::default()
        });

        assert_eq!(named.auth_files(), [Path::new("/auth")]);
        assert_eq!(
            usual.auth_files(),
            [
                Path::new("/run/user/1/containers/auth.json"),
                Path::new("/home/.config/containers/auth.json"),
                Path::new("/home/.docker/config.json")
            ]
        );
    }
}
