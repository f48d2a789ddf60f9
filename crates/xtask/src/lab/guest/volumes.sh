# Makes this machine a server of files for itself (NFS 4). What `exportfs` and `mountd` would answer to the
# kernel is written where it asks: who 127.0.0.1 is, what that one may have, and where it lies.
mkdir -p /srv/export
mount -t nfsd nfsd /proc/fs/nfsd
for_ever=2147483647
# flags: it has a number (8192), is one tree (1024), is written when it suits (16), from any port (2)
echo "nfsd 127.0.0.1 $for_ever lab" >/proc/net/rpc/auth.unix.ip/channel
echo "lab /srv/export $for_ever 9234 65534 65534 0" >/proc/net/rpc/nfsd.export/channel
printf 'lab 1 \\x00000000 %s /srv/export\n' "$for_ever" >/proc/net/rpc/nfsd.fh/channel
echo '-2 -3 +4 +4.1 +4.2' >/proc/fs/nfsd/versions
echo 'tcp 2049' >/proc/fs/nfsd/portlist
echo 2 >/proc/fs/nfsd/threads || echo '@@ trouble: start the server of files'
echo Y >/proc/fs/nfsd/v4_end_grace 2>/dev/null
