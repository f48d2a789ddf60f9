//! `system quadlet`: services made of files.

use dhow_testkit::{Dhow, Outcome};
use std::fs;

fn quadlet(dhow: &Dhow, files: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let directory = dhow.directory().join("quadlet");
    fs::create_dir_all(&directory).expect("a directory");
    for (name, text) in files {
        fs::write(directory.join(name), text).expect("a file");
    }
    let mut command = dhow.command(&[&["system", "quadlet"], arguments].concat());
    dhow.finish(command.env("QUADLET_UNIT_DIRS", &directory), b"")
}

#[test]
fn files_become_services_and_links() {
    let dhow = Dhow::new();
    let files = [
        (
            "web.container",
            "[Container]\nImage=base.image\nVolume=data.volume:/d\n[Install]\nWantedBy=default.target\n",
        ),
        ("data.volume", "[Volume]\nVolumeName=data\n"),
        ("base.image", "[Image]\nImage=box\n"),
    ];
    let output = dhow.directory().join("units");

    drop(quadlet(&dhow, &files, &[output.to_str().unwrap()]).ok());

    let web = fs::read_to_string(output.join("web.service")).unwrap();
    assert!(web.contains("--volume data:/d box\n"), "{web}");
    assert!(web.contains("Requires=data-volume.service\n"), "{web}");
    let link = fs::read_link(output.join("default.target.wants/web.service")).unwrap();
    assert_eq!(link.to_str(), Some("../web.service"));
    assert!(
        output.join("data-volume.service").exists() && output.join("base-image.service").exists()
    );
}

#[test]
fn a_file_that_cannot_be_kept_does_not_keep_the_others() {
    let dhow = Dhow::new();
    let files =
        [("bad.container", "[Container]\nBogus=1\n"), ("good.container", "[Container]\nImage=x\n")];

    let outcome = quadlet(&dhow, &files, &["--dry-run"]).exits(1).says("Bogus");

    assert!(outcome.stdout.contains("---good.service---"), "{}", outcome.stdout);
    drop(
        quadlet(&dhow, &[("n.network", "[Network]\nBogus=1\n")], &["--dry-run"])
            .exits(1)
            .says("Bogus"),
    );
}
