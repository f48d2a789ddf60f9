# Loads the policy, which was compiled on the host, and enforces nothing: what is tried is that
# labels are set, not what they forbid. What it gives to containers is said where distributions say it.
mount -t selinuxfs selinuxfs /sys/fs/selinux
cat /lab/policy >/sys/fs/selinux/load || echo '@@ trouble: load the SELinux policy'
mkdir -p /etc/selinux/lab/contexts
echo 'SELINUXTYPE=lab' >/etc/selinux/config
cat >/etc/selinux/lab/contexts/lxc_contexts <<'END'
process = "system_u:system_r:container_t:s0"
file = "system_u:object_r:container_file_t:s0"
END
