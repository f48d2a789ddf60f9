# Loads the profile, which was compiled on the host.
cat /lab/profile >/sys/kernel/security/apparmor/.load || echo '@@ trouble: load the AppArmor profile'
