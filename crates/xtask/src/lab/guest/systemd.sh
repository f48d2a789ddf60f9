#!/bin/busybox sh
# The first program of a lab machine with systemd: mounts what a machine has on Debian's root and
# makes that the root. It is bound to itself, since nobody can pivot away from the kernel's first
# file system, and copying it would take longer than the boot.
run() { /bin/busybox "$@"; }
for module in $(run cat /lab/modules/order); do
    run insmod "/lab/modules/$module" || echo "@@ trouble: module $module"
done
run mount --bind /debian /debian
cd /debian
run mkdir dev
run mount -t proc proc proc
run mount -t sysfs sysfs sys
run mount -t devtmpfs dev dev
run mount -t tmpfs -o mode=755 tmpfs run
run mount -t cgroup2 cgroup2 sys/fs/cgroup
run mount --move . /
exec /bin/busybox chroot . /lib/systemd/systemd --unit=lab.target --show-status=false
