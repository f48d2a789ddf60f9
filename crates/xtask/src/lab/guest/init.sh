#!/bin/busybox sh
# The first program of a lab machine. It leaves the kernel's first file system, from which nobody
# can pivot, for a tmpfs, mounts what a machine has, and runs the programs of the boot.

if [ "$1" != again ]; then
    /bin/busybox mkdir /new
    /bin/busybox mount -t tmpfs -o mode=755 tmpfs /new
    for part in bin lab init lib lib64 tools usr; do
        [ -e "/$part" ] && /bin/busybox cp -a "/$part" /new/
    done
    exec /bin/busybox switch_root /new /init again
fi

export PATH=/tools:/bin
/bin/busybox --install -s /bin
mkdir -p proc sys dev etc root tmp run var/lib
chmod 1777 tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
ln -s /proc/self/fd /dev/fd
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
mount --make-rshared /
hostname lab
ip link set lo up
echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
echo 'root:x:0:' >/etc/group
[ ! -e /lab/protocols ] || cp /lab/protocols /etc/protocols
for module in $(cat /lab/modules/order); do
    insmod "/lab/modules/$module" || echo "@@ trouble: module $module"
done
. /lab/tests.sh
reboot -f
