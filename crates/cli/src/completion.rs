//! The scripts by which shells complete `dhow`: each asks the program itself what could stand where
//! the cursor is (`dhow __complete`), so they know names of containers and images, and never age.

use clap_complete::Shell;

const BASH: &str = include_str!("completion/dhow.bash");
const ZSH: &str = include_str!("completion/dhow.zsh");
const FISH: &str = include_str!("completion/dhow.fish");

/// The script of a shell. Those that cannot ask get the commands and flags as they are now.
pub fn completion(shell: Shell) -> Vec<u8> {
    match shell {
        Shell::Bash => BASH.as_bytes().to_vec(),
        Shell::Zsh => ZSH.as_bytes().to_vec(),
        Shell::Fish => FISH.as_bytes().to_vec(),
        _ => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut crate::command(), "dhow", &mut script);
            script
        }
    }
}
