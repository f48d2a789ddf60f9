//! The index of the database's log, which commands leave to each other.

use crate::fixture::with_box;
use dhow_testkit::{Dhow, need, needs, needs_root};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// In an index of one page: of the last log page that it has room for, which no test comes to.
const UNUSED: u64 = 16380;
/// Where its stamp is: which boot and which file it is of.
const STAMP: u64 = 132;
/// Where log pages are found by a sum of their numbers.
const TABLE: u64 = 16384;

struct Index(PathBuf);

impl Index {
    fn of(dhow: &Dhow) -> Self {
        Self(dhow.root().join("state.db-shm"))
    }

    /// Writes where nobody looks; whoever makes the index anew wipes it out.
    fn mark(&self) {
        self.write(UNUSED, b"mark");
    }

    fn is_marked(&self) -> bool {
        let mut bytes = [0; 4];
        File::open(&self.0).unwrap().read_exact_at(&mut bytes, UNUSED).unwrap();
        &bytes == b"mark"
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(&self.0).unwrap().write_all_at(bytes, at).unwrap();
    }
}

fn names(dhow: &Dhow) -> String {
    dhow.run(&["ps", "-a", "--format", "{{.Names}}"]).ok().stdout
}

#[test]
fn the_next_command_takes_the_index_as_it_is_and_makes_one_of_another_boot_anew() {
    needs_root!();
    needs!(need::kernel(6, 8), "Linux 6.8, whose mounts have numbers of their own");
    let dhow = with_box();
    drop(dhow.run(&["create", "--name", "a", "box", "true"]).ok());
    let index = Index::of(&dhow);
    index.mark();

    assert_eq!(names(&dhow), "a\n");
    drop(dhow.run(&["create", "--name", "b", "box", "true"]).ok());
    assert!(index.is_marked());

    // As a machine that broke down leaves it: with a table that leads nowhere.
    index.write(STAMP, &[0xa5; 4]);
    index.write(TABLE, &[0xa5; 8192]);
    assert_eq!(names(&dhow), "b\na\n");
    assert!(!index.is_marked());

    index.mark();
    drop(dhow.run(&["rm", "a", "b"]).ok());
    assert!(index.is_marked());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_database_that_was_put_back_from_a_copy_is_read_as_it_is() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "--name", "a", "box", "true"]).ok());
    let files = ["state.db", "state.db-wal"].map(|name| dhow.root().join(name));
    let kept = files.clone().map(|path| std::fs::read(path).unwrap());
    let before = names(&dhow);

    drop(dhow.run(&["rename", "a", "b"]).ok());
    assert_eq!(names(&dhow), "b\n");
    for (path, bytes) in files.iter().zip(&kept) {
        std::fs::write(path, bytes).unwrap();
    }

    // The index is still that of the newer log.
    assert_eq!((names(&dhow), before), ("a\n".to_owned(), "a\n".to_owned()));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}
