//! `--preserve-fds` and `--preserve-fd`: open files of the command's that the program gets.

use super::refuse;
use dhow_base::Result;

/// Open files that are the program's too.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Open files")]
pub(crate) struct DescriptorFlags {
    /// Let the program have so many more open files, from 3 on
    #[arg(long, value_name = "NUMBER")]
    preserve_fds: Option<u32>,

    /// Let the program have these open files, with commas: 3, or 3 and the numbers that follow
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "preserve_fds")]
    preserve_fd: Vec<u32>,
}

impl DescriptorFlags {
    /// How many there are, from 3 on. To be called before anything of our own is open: what is not open
    /// cannot be handed on, and its number would go to a file of ours.
    pub(crate) fn count(&self) -> Result<u32> {
        let (flag, count) = match self.preserve_fds {
            Some(count) => ("--preserve-fds", count),
            None => ("--preserve-fd", self.listed()?),
        };
        for number in (3..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            if std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() {
                return Err(refuse(flag, &count.to_string(), format!("file {number} is not open")));
            }
        }
        Ok(count)
    }

    fn listed(&self) -> Result<u32> {
        let mut numbers = self.preserve_fd.clone();
        numbers.sort_unstable();
        numbers.dedup();
        for (expected, number) in (3..).zip(&numbers) {
            if *number != expected {
                return Err(refuse(
                    "--preserve-fd",
                    &number.to_string(),
                    "there is a gap before it",
                )
                .hint("open files are handed on from 3 on, one after the other"));
            }
        }
        Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_begins_with_three_and_has_no_gap() {
        let listed = |list: &[u32]| {
            DescriptorFlags { preserve_fds: None, preserve_fd: list.to_vec() }.listed().ok()
        };
        assert_eq!(listed(&[]), Some(0));
        assert_eq!(listed(&[4, 3, 3]), Some(2));
        assert_eq!(listed(&[4]), None);
        assert_eq!(listed(&[3, 5]), None);
        assert_eq!(listed(&[0, 3]), None);
    }
}
