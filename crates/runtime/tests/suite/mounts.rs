//! Mounts: their options, where they land, what is masked.

use crate::bundle::Bundle;
use dhow_spec::{
    Mount,
    mount::OverlayUpper,
    runtime::{IdMapping, MountPoint, Namespace, NamespaceKind},
};
use dhow_testkit::{need, needs, needs_root};
use std::path::Path;

pub(crate) fn bind(source: &Path, destination: &str, options: &[&str]) -> MountPoint {
    MountPoint {
        destination: destination.into(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..MountPoint::default()
    }
}

pub(crate) fn tmpfs(destination: &str, options: &[&str]) -> MountPoint {
    MountPoint {
        kind: Some("tmpfs".to_owned()),
        source: None,
        ..bind(Path::new(""), destination, options)
    }
}

/// The options of the mount at `path`, as mountinfo shows them.
pub(crate) fn options_of(mountinfo: &str, path: &str) -> String {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
    line.unwrap_or_else(|| panic!("no mount at {path}: {mountinfo}"))
        .split(' ')
        .nth(5)
        .unwrap()
        .to_owned()
}

#[test]
fn the_default_mounts_have_their_options() {
    needs_root!();
    let mut bundle = Bundle::new();

    let mounts = bundle.run(&["cat", "/proc/self/mountinfo"]).ok().stdout;

    let cases = [
        ("/proc", "rw,nosuid,nodev,noexec,relatime"),
        ("/dev", "rw,nosuid"),
        ("/dev/pts", "rw,nosuid,noexec,relatime"),
        ("/sys", "ro,nosuid,nodev,noexec,relatime"),
        ("/sys/fs/cgroup", "ro,nosuid,nodev,noexec,relatime"),
        ("/dev/mqueue", "rw,nosuid,nodev,noexec,relatime"),
        ("/dev/shm", "rw,nosuid,nodev,noexec,relatime"),
        ("/proc/sys", "ro,nosuid,nodev,noexec,relatime"),
    ];
    for (path, options) in cases {
        assert_eq!(options_of(&mounts, path), options, "{path}");
    }
    assert!(!mounts.contains("shared:"), "something propagates: {mounts}");
}

#[test]
fn masked_paths_are_empty_and_readonly_paths_cannot_be_written() {
    needs_root!();
    let mut bundle = Bundle::new();

    let outcome = bundle
        .sh("wc -c < /proc/timer_list; ls /sys/firmware | wc -l; stat -c %t:%T /proc/timer_list
             chmod 0 /proc/timer_list 2>&1; echo 1 2>&1 > /proc/sys/kernel/core_pattern; true")
        .ok();

    assert!(outcome.stdout.starts_with("0\n0\n1:3\n"), "{outcome}");
    assert_eq!(
        outcome.stdout.matches("Read-only").count() + outcome.stderr.matches("Read-only").count(),
        2,
        "{outcome}"
    );
}

#[test]
fn a_readonly_root_is_readonly_and_its_mounts_are_not() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.root.as_mut().unwrap().readonly = true;
    bundle.spec.mounts.push(tmpfs("/tmp", &["size=1m"]));

    let outcome =
        bundle.sh("touch /tmp/a && echo tmp; touch /a 2>&1; echo x > /dev/null && echo null").ok();

    assert_eq!(outcome.stdout, "tmp\ntouch: /a: Read-only file system\nnull\n");
}

#[test]
fn bind_mounts_are_made_with_their_options_and_destinations() {
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("data");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "content").unwrap();
    bundle.spec.mounts.push(bind(&source, "/new/deep/data", &["rbind", "ro", "noexec"]));
    bundle.spec.mounts.push(bind(&source.join("file"), "/other/file", &["bind", "rprivate"]));
    bundle.spec.mounts.push(bind(Path::new("data"), "/relative", &["bind", "nosuid"]));

    let outcome = bundle
        .sh("cat /new/deep/data/file /other/file; touch /new/deep/data/x 2>&1; echo more >> /other/file
             cat /relative/file; cat /proc/self/mountinfo")
        .ok();

    let first = outcome.stdout.lines().next().unwrap();
    assert!(first.starts_with("contentcontent"), "{outcome}");
    assert!(first.ends_with("Read-only file system"), "{outcome}");
    assert!(outcome.stdout.contains("contentmore"), "{outcome}");
    assert_eq!(options_of(&outcome.stdout, "/new/deep/data"), "ro,noexec,relatime");
    assert_eq!(options_of(&outcome.stdout, "/relative"), "rw,nosuid,relatime");
}

/// Attack test 11, in part.
#[test]
fn recursive_options_reach_the_mounts_below() {
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("tree");
    std::fs::create_dir_all(source.join("below")).unwrap();
    rustix::mount::mount(
        "tmpfs",
        source.join("below"),
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .unwrap();
    bundle.spec.mounts.push(bind(&source, "/tree", &["rbind", "rro", "rnoatime"]));
    bundle.spec.mounts.push(bind(&source, "/top", &["rbind", "ro"]));

    let outcome = bundle.run(&["cat", "/proc/self/mountinfo"]);

    rustix::mount::unmount(source.join("below"), rustix::mount::UnmountFlags::empty()).unwrap();
    let mounts = outcome.ok().stdout;
    assert_eq!(options_of(&mounts, "/tree"), "ro,noatime");
    assert_eq!(options_of(&mounts, "/tree/below"), "ro,noatime");
    assert_eq!(options_of(&mounts, "/top"), "ro,relatime");
    assert_eq!(options_of(&mounts, "/top/below"), "rw,relatime");
}

/// Attack test 11, in part.
#[test]
fn an_idmapped_mount_shows_mapped_owners() {
    needs_root!();
    needs!(need::kernel(6, 3), "a tmpfs that can be mapped (Linux 6.3)");
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("mapped");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "").unwrap();
    std::os::unix::fs::chown(source.join("file"), Some(5), Some(6)).unwrap();
    let mapping = IdMapping { container_id: 0, host_id: 1000, size: 100 };
    let mut mount = bind(&source, "/mapped", &["bind", "idmap"]);
    mount.uid_mappings = vec![mapping];
    mount.gid_mappings = vec![mapping];
    bundle.spec.mounts.push(mount);

    let outcome = bundle.sh("stat -c %u:%g /mapped/file; grep mapped /proc/self/mountinfo").ok();

    assert!(outcome.stdout.starts_with("1005:1006\n"), "{outcome}");
    assert!(outcome.stdout.contains("idmapped"), "{outcome}");
}

#[test]
fn options_of_the_kernel_s_own_filesystems_reach_them() {
    needs_root!();
    let mut bundle = Bundle::new();
    for mount in &mut bundle.spec.mounts {
        match mount.kind.as_deref() {
            Some("proc") => mount.options.push("hidepid=2".to_owned()),
            Some("devpts") => mount.options.push("max=7".to_owned()),
            _ => {}
        }
    }
    let mut pids = tmpfs("/pids", &["subset=pid", "ro"]);
    pids.kind = Some("proc".to_owned());
    bundle.spec.mounts.push(pids);

    let outcome = bundle
        .sh("cat /proc/self/mountinfo; ls /pids | grep -c -v '^[0-9]'; test -e /dev/mqueue && echo queues
             stat -c '%a %g' /dev/pts/ptmx; stat -c %t:%T /dev/ptmx -L")
        .ok();

    let of_filesystem = |path: &str, word: &str| {
        let line =
            outcome.stdout.lines().find(|line| line.split(' ').nth(4) == Some(path)).unwrap();
        line.rsplit(' ').next().unwrap().contains(word)
    };
    assert!(of_filesystem("/proc", "hidepid=invisible"), "{outcome}");
    assert!(of_filesystem("/pids", "subset=pid"), "{outcome}");
    assert!(of_filesystem("/dev/pts", "max=7"), "{outcome}");
    assert!(of_filesystem("/dev/pts", "ptmxmode=666"), "{outcome}");
    assert!(outcome.stdout.ends_with("2\nqueues\n666 0\n5:2\n"), "{outcome}");
}

#[test]
fn a_label_without_selinux_is_refused_by_name() {
    needs_root!();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap();
    dhow_testkit::needs!(!known.contains("selinuxfs"), "a kernel without SELinux");
    let mut bundle = Bundle::new();
    let label = "system_u:object_r:container_file_t:s0";
    bundle.spec.linux.as_mut().unwrap().mount_label = Some(label.to_owned());

    drop(bundle.run(&["true"]).exits(125).says("this kernel runs no SELinux"));

    bundle.spec.linux.as_mut().unwrap().mount_label = Some(String::new());
    drop(bundle.run(&["true"]).ok());
}

/// In a cgroup namespace of its own a container is at the root of what it sees; without one it sees
/// its cgroup's directory, and nothing above it.
#[test]
fn the_cgroups_show_the_container_s_own_and_no_other() {
    needs_root!();
    dhow_testkit::needs!(Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists(), "cgroup v1");
    for (own_view, own_user) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut bundle = Bundle::new();
        let linux = bundle.spec.linux.as_mut().unwrap();
        if !own_view {
            linux.namespaces.retain(|entry| entry.kind != NamespaceKind::Cgroup);
        }
        if own_user {
            linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
            linux.uid_mappings =
                vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
            linux.gid_mappings = linux.uid_mappings.clone();
            bundle.give_to(100_000);
        }

        let outcome = bundle
            .sh("grep :memory: /proc/self/cgroup | cut -d: -f3; cat /sys/fs/cgroup/memory/cgroup.procs
                 grep ' /sys/fs/cgroup/memory ' /proc/self/mountinfo | cut -d' ' -f4,6
                 mkdir /sys/fs/cgroup/memory/x || echo closed; readlink /sys/fs/cgroup/cpu
                 cat /sys/fs/cgroup/memory/../memory/memory.limit_in_bytes | wc -l")
            .ok();

        let inside = format!("/dhow/{}", bundle.id);
        let (path, root) = if own_view { ("/", "/") } else { (inside.as_str(), inside.as_str()) };
        let mut lines = outcome.stdout.lines();
        assert_eq!(lines.next(), Some(path), "{own_view} {own_user}: {outcome}");
        assert_eq!(lines.next(), Some("1"), "{own_view} {own_user}: {outcome}");
        let mount = lines.by_ref().find(|line| line.contains(" ro")).unwrap();
        let options = "ro,nosuid,nodev,noexec,relatime";
        assert_eq!(mount, format!("{root} {options}"), "{own_view} {own_user}: {outcome}");
        assert_eq!(lines.next(), Some("closed"), "{own_view} {own_user}: {outcome}");
    }
}

/// The same where version 2 is all there is.
#[test]
fn the_only_cgroups_show_the_container_s_own_and_no_other() {
    needs_root!();
    let is_version_2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    dhow_testkit::needs!(is_version_2, "cgroup v2 alone");
    for own_view in [true, false] {
        let mut bundle = Bundle::new();
        if !own_view {
            let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
            namespaces.retain(|entry| entry.kind != NamespaceKind::Cgroup);
        }

        let outcome = bundle
            .sh("cut -d: -f3 /proc/self/cgroup; head -n 1 /sys/fs/cgroup/cgroup.procs
                 mkdir /sys/fs/cgroup/x || echo closed; cat /proc/self/mountinfo")
            .ok();

        let path = if own_view { "/".to_owned() } else { format!("/dhow/{}", bundle.id) };
        assert!(outcome.stdout.starts_with(&format!("{path}\n1\nclosed\n")), "{outcome}");
        let options = options_of(&outcome.stdout, "/sys/fs/cgroup");
        assert_eq!(options, "ro,nosuid,nodev,noexec,relatime", "{own_view}: {outcome}");
    }
}

/// An image's `/etc/resolv.conf` is often a link to what only a running system has.
#[test]
fn what_a_dangling_link_names_is_made_inside_the_root() {
    use std::os::unix::fs::symlink;
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("resolv.conf");
    std::fs::write(&source, "nameserver 192.0.2.1").unwrap();
    let etc = bundle.root().join("etc");
    symlink("../run/resolve/stub.conf", etc.join("resolv.conf")).unwrap();
    symlink("/nowhere/dir", bundle.root().join("tree")).unwrap();
    symlink("/../../../../outside", bundle.root().join("out")).unwrap();
    symlink("circle", bundle.root().join("circle")).unwrap();
    bundle.spec.mounts.push(bind(&source, "/etc/resolv.conf", &["bind", "ro"]));
    bundle.spec.mounts.push(tmpfs("/tree/deep", &["size=64k"]));
    bundle.spec.mounts.push(tmpfs("/out", &["size=64k"]));

    let outcome = bundle
        .sh("cat /etc/resolv.conf /run/resolve/stub.conf; echo; mount | grep -c '/nowhere/dir/deep'
             touch /outside/x && ls /out")
        .ok();

    assert_eq!(outcome.stdout, "nameserver 192.0.2.1nameserver 192.0.2.1\n1\nx\n", "{outcome}");
    assert!(!Path::new("/outside").exists() && bundle.root().join("outside").is_dir());

    bundle.spec.mounts.push(tmpfs("/circle/x", &["size=64k"]));
    drop(bundle.run(&["true"]).exits(125).says("mount /circle/x: open the destination"));
}

#[test]
fn files_sockets_and_links_can_be_bound() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    needs_root!();
    let mut bundle = Bundle::new();
    let at = bundle.directory().to_owned();
    std::fs::write(at.join("file"), "content").unwrap();
    symlink("file", at.join("link")).unwrap();
    let _listener = UnixListener::bind(at.join("socket")).unwrap();
    for name in ["file", "link", "socket"] {
        bundle.spec.mounts.push(bind(&at.join(name), &format!("/new/{name}"), &["bind"]));
    }
    bundle.spec.mounts.push(bind(&at.join("file"), "/etc/passwd", &["bind"]));

    let outcome = bundle.sh("cat /new/file /new/link /etc/passwd; echo; stat -c %F /new/*").ok();

    let kinds = "regular file\nregular file\nsocket\n";
    assert_eq!(outcome.stdout, format!("contentcontentcontent\n{kinds}"));
    bundle.spec.mounts.push(bind(&at, "/etc/group", &["bind"]));
    drop(bundle.run(&["true"]).exits(125).says("mount /etc/group"));
    bundle.spec.mounts.pop();
    bundle.spec.mounts.push(bind(&at.join("missing"), "/x", &["bind"]));
    drop(bundle.run(&["true"]).exits(125).says("missing: No such file"));
}

#[test]
fn a_root_is_found_through_a_link_and_a_file_is_none() {
    needs_root!();
    let mut bundle = Bundle::new();
    std::os::unix::fs::symlink(bundle.root(), bundle.directory().join("rootfs")).unwrap();
    bundle.spec.root.as_mut().unwrap().path = "rootfs".into();

    assert_eq!(bundle.sh("echo inside").ok().stdout, "inside\n");

    for (path, says) in [("config.json", "Not a directory"), ("none", "No such file")] {
        bundle.spec.root.as_mut().unwrap().path = path.into();
        drop(bundle.run(&["true"]).exits(125).says("open root filesystem").says(says));
    }
}

#[test]
fn a_masked_path_that_is_named_again_is_covered_once() {
    needs_root!();
    let mut bundle = Bundle::new();
    std::fs::create_dir(bundle.root().join("secret")).unwrap();
    let twice = ["/secret", "/proc/timer_list"].map(str::to_owned);
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.masked_paths = [twice.clone(), twice].concat();

    let outcome = bundle
        .sh("grep -c ' /secret ' /proc/self/mountinfo;
        grep -c ' /proc/timer_list ' /proc/self/mountinfo")
        .ok();

    assert_eq!(outcome.stdout, "1\n1\n");
}

#[test]
fn masked_and_readonly_paths_that_are_not_there_are_passed_over() {
    needs_root!();
    let mut bundle = Bundle::new();
    std::fs::create_dir_all(bundle.root().join("secret/inner")).unwrap();
    let linux = bundle.spec.linux.as_mut().unwrap();
    for path in ["/none", "/etc/passwd/none", "/secret", "/etc/hostname"] {
        linux.masked_paths.push(path.to_owned());
    }
    for path in ["/none", "/etc/passwd/none", "/usr", "/etc/group"] {
        linux.readonly_paths.push(path.to_owned());
    }

    let outcome = bundle
        .sh("ls /secret | wc -l; touch /secret/x; wc -c < /etc/hostname; touch /usr/x
             echo x >> /etc/group; touch /etc/new && echo new; test -e /none || echo none")
        .ok();

    assert_eq!(outcome.stdout, "0\n0\nnew\nnone\n", "{outcome}");
    assert_eq!(outcome.stderr.matches("Read-only").count(), 3, "{outcome}");
}

#[test]
fn a_readonly_tmpfs_can_still_hold_mounts() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.mounts.push(tmpfs("/ro", &["ro", "size=64k"]));
    bundle.spec.mounts.push(tmpfs("/ro/inner", &["size=64k"]));

    let outcome = bundle.sh("touch /ro/inner/x && echo inner; touch /ro/x 2>&1").exits(1);

    assert_eq!(outcome.stdout, "inner\ntouch: /ro/x: Read-only file system\n");
}

#[test]
fn mounts_of_the_container_never_reach_the_host_s_shared_trees() {
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("shared");
    std::fs::create_dir_all(source.join("inner")).unwrap();
    rustix::mount::mount("tmpfs", &source, "tmpfs", rustix::mount::MountFlags::empty(), None)
        .unwrap();
    std::fs::create_dir(source.join("inner")).unwrap();
    rustix::mount::mount_change(&source, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    bundle.spec.mounts.push(bind(&source, "/shared", &["rbind"]));
    bundle.spec.mounts.push(tmpfs("/shared/inner", &["size=64k"]));

    let mut held = bundle.hold(&["true"]);
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    held.start();
    let ended = held.end();

    rustix::mount::unmount(&source, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(ended.0, 0, "{}", ended.1);
    assert!(!host.contains("shared/inner"), "{host}");
}

#[test]
fn an_overlay_of_many_oddly_named_layers_is_a_root() {
    needs_root!();
    let mut bundle = Bundle::new();
    // The upper layer's filesystem must not be an overlay itself.
    let space = bundle.directory().join("layers");
    std::fs::create_dir(&space).unwrap();
    rustix::mount::mount("tmpfs", &space, "tmpfs", rustix::mount::MountFlags::empty(), None)
        .unwrap();
    let mut lower = Vec::new();
    for number in 0..70 {
        let layer = space.join(format!("a:b,c\\{number}"));
        std::fs::create_dir(&layer).unwrap();
        std::fs::write(layer.join(format!("file{number}")), "").unwrap();
        std::fs::write(layer.join("top"), number.to_string()).unwrap();
        lower.push(layer);
    }
    lower.push(bundle.root().to_owned());
    let upper =
        OverlayUpper { upper: space.join("upper"), work: space.join("work"), volatile: false };
    std::fs::create_dir(&upper.upper).unwrap();
    std::fs::create_dir(&upper.work).unwrap();
    let changed = upper.upper.join("changed");
    bundle.mount_as_root(&Mount::Overlay { lower, upper: Some(upper), userxattr: false });

    let outcome = bundle.sh("ls / | grep -c ^file; cat /top; echo; echo x > /changed");

    let is_changed = changed.exists();
    rustix::mount::unmount(&space, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(outcome.ok().stdout, "70\n0\n");
    assert!(is_changed, "the upper layer has what the container wrote");
}

#[test]
fn a_bind_root_is_readonly_where_the_mount_says_so() {
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.root().to_owned();
    bundle.mount_as_root(&Mount::Bind { source, read_only: true });

    let outcome = bundle.sh("touch /x 2>&1").exits(1);

    assert_eq!(outcome.stdout, "touch: /x: Read-only file system\n");
}

#[test]
fn a_missing_layer_is_named() {
    needs_root!();
    let mut bundle = Bundle::new();
    let lower = vec!["/nowhere/layer".into(), bundle.root().to_owned()];
    bundle.mount_as_root(&Mount::Overlay { lower, upper: None, userxattr: false });

    drop(bundle.run(&["true"]).exits(125).says("/nowhere/layer"));
}
