# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_dhow_global_optspecs
    string join \n root= runroot= storage-driver= discard-layers limit= log-level= color= h/help v/version
end

function __fish_dhow_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_dhow_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_dhow_using_subcommand
    set -l cmd (__fish_dhow_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c dhow -n "__fish_dhow_needs_command" -l root -d 'Keep images and containers in this directory' -r -F
complete -c dhow -n "__fish_dhow_needs_command" -l runroot -d 'Keep what a reboot may take in this directory' -r -F
complete -c dhow -n "__fish_dhow_needs_command" -l storage-driver -d 'Keep snapshots by this driver: overlay, erofs, plain or btrfs' -r
complete -c dhow -n "__fish_dhow_needs_command" -l limit -d 'Let images have as much of this as the number says, and no more (can be repeated): entries, unpacked, file, path, component, depth, header, xattr, regions, ratio, ratio-from, memory, remembered, layers or download' -r
complete -c dhow -n "__fish_dhow_needs_command" -l log-level -d 'Say errors only, also warnings, or also notes' -r -f -a "error\t'Errors only'
warn\t'Errors and warnings'
info\t'Also notes'"
complete -c dhow -n "__fish_dhow_needs_command" -l color -d 'Use colour for messages' -r -f -a "auto\t'On terminals, unless NO_COLOR is set'
always\t'Also where nobody may see it'
never\t'Not at all'"
complete -c dhow -n "__fish_dhow_needs_command" -l discard-layers -d 'Discard the blobs of layers that a registry has, once they are unpacked'
complete -c dhow -n "__fish_dhow_needs_command" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_needs_command" -s v -l version -d 'Print the version'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "run" -d 'Run a program in a new container'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "exec" -d 'Run a program in a running container'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "ps" -d 'List containers'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "logs" -d 'Show what a container has printed'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "stop" -d 'Stop containers'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "rm" -d 'Remove containers'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "create" -d 'Create a container without starting it'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "start" -d 'Start containers that do not run'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "attach" -d 'Connect to a running container'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "kill" -d 'Send a signal to containers'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "wait" -d 'Wait until containers end and print their exit codes'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "inspect" -d 'Show all that is known of containers and images'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "pull" -d 'Fetch images'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "push" -d 'Send an image to a registry'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "login" -d 'Log in to a registry'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "logout" -d 'Log out of a registry'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "images" -d 'List images'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "rmi" -d 'Remove images'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "tag" -d 'Give an image more names'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "untag" -d 'Take names from an image and keep it'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "save" -d 'Write images into a file'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "load" -d 'Take images in from a file'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "import" -d 'Make an image of the tar file of a file system'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "history" -d 'Show how an image was made'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "doctor" -d 'Prove that nothing is broken or left behind'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "selftest" -d 'Attack the runtime, to see that it holds here'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "completion" -d 'Print the completion script of a shell'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "cleanup" -d 'Write down how a container ended'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "container" -d 'Work with containers'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "image" -d 'Work with images'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "manifest" -d 'Work with lists of images for several platforms'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "system" -d 'Work with everything at once'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "artifact" -d 'Work with artifacts: files that registries keep'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "volume" -d 'Work with volumes: directories that outlive containers'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "secret" -d 'Work with secrets: small contents that containers get and nobody else sees'
complete -c dhow -n "__fish_dhow_needs_command" -f -a "pod" -d 'Work with pods: containers that share namespaces, limits and a life'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l sig-proxy -d 'Pass signals on to the program' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand run" -l name -d 'Name the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l pull -d 'Fetch the image: always, missing, never or newer' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l platform -d 'Use the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cidfile -d 'Write the container\'s id to a file, which must not exist' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l label-file -d 'Read labels from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l annotation -d 'Add an annotation' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l stop-signal -d 'Stop the program with this signal' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l stop-timeout -d 'Give the program so many seconds to stop before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s e -l env -d 'Set an environment variable; a name alone takes its value from here' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l env-file -d 'Read environment variables from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s u -l user -d 'Run as this user, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s w -l workdir -d 'Run in this directory of the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l entrypoint -d 'Run this program instead of the image\'s; its arguments follow the image' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l group-add -d 'Add the process to a group, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s v -l volume -d 'Mount a path of the host or a volume' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l mount -d 'Mount a path, a volume or a tmpfs, with a name for every field' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l tmpfs -d 'Mount memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l shm-size -d 'Make /dev/shm this large' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l network -l net -d 'Use no network (none, also the default for now), the host\'s (host), a container\'s (container:NAME) or the one at a path (ns:PATH)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s h -l hostname -d 'Name the container\'s host' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l volumes-from -d 'Mount what another container has mounted of volumes and of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l image-volume -l builtin-volume -d 'Make the image\'s volumes anonymous volumes (bind, anonymous), memory (tmpfs) or nothing (ignore)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l volume-driver -d 'Make new volumes by this driver; there is local' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l secret -d 'Give the container a secret, as a file below /run/secrets or as a variable' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l pod -d 'Put the container into a pod, or into a new one (new:NAME)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l pod-id-file -d 'Put the container into the pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s m -l memory -d 'Limit memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l memory-swap -d 'Limit memory and swap together; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l memory-reservation -d 'Keep this much memory when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpus -d 'Limit processors, such as 1.5' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -s c -l cpu-shares -d 'Weigh processor time against other containers; 1024 is usual' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpu-period -d 'Count --cpu-quota by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpu-quota -d 'Use so many microseconds of processors a period; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpu-rt-period -d 'Count --cpu-rt-runtime by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpu-rt-runtime -d 'Run so many microseconds a period in real time' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l memory-swappiness -d 'Swap memory out more or less willingly, 0 to 100' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpuset-cpus -d 'Use these processors only, such as 0-3,7' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cpuset-mems -d 'Use memory of these nodes only' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l pids-limit -d 'Limit processes and threads; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l ulimit -d 'Set a resource limit of processes' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l oom-score-adj -d 'Have processes killed sooner (up to 1000) or later (down to -1000) when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l blkio-weight -d 'Weigh the use of block devices against other containers, 10 to 1000' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l blkio-weight-device -d 'Weigh the use of one device' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l device-read-bps -d 'Limit reading from a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l device-read-iops -d 'Limit reading from a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l device-write-bps -d 'Limit writing to a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l device-write-iops -d 'Limit writing to a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cgroup-parent -d 'Make the control group below this one' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cgroups -d 'Make a control group (enabled, no-conmon) or none (disabled)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cgroup-conf -d 'Write a file of the control group, with version 2' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l device-cgroup-rule -d 'Allow devices by their numbers, such as \'c 10:200 rwm\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l rdt-class -d 'Use this class of caches and memory bandwidth (Intel RDT)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cap-add -d 'Add a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cap-drop -d 'Drop a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l security-opt -d 'Set an option such as no-new-privileges or seccomp=FILE' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l device -d 'Let the container use a device, all of a directory, or one by its name (vendor/class=name)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l gpus -d 'Let the container use GPUs: all, a number of them, or device=NAME[,NAME...]' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l pid -d 'See the processes of the host (host), of a container (container:NAME) or none but one\'s own' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l ipc -d 'Share memory and queues with the host, with a container, or with nobody (private, none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l uts -d 'Have the host\'s name (host), a container\'s, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l cgroupns -d 'See the control groups of the host (host), of a container, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l userns -d 'Have ids of one\'s own: auto, keep-id, nomap, container:NAME, ns:PATH, or the host\'s (host)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l uidmap -d 'Map user ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l gidmap -d 'Map group ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l subuidname -d 'Map the user ids that /etc/subuid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l subgidname -d 'Map the group ids that /etc/subgid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l add-host -d 'Add a name to /etc/hosts' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l hosts-file -d 'Begin /etc/hosts with this file, the image\'s (image) or nothing (none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l domainname -d 'Set the NIS domain name' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l dns -d 'Ask this server for addresses; none leaves /etc/resolv.conf as the image has it' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l dns-search -d 'Look for names without dots in this domain; a dot is for none' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l dns-option -l dns-opt -d 'Set an option of resolving, such as ndots:2' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l env-merge -d 'Set a variable from what the image says of it, such as PATH=${PATH}:/opt/bin' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l unsetenv -d 'Take a variable of the image\'s away' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l http-proxy -d 'Pass on the variables for proxies' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand run" -l tz -d 'Have the clock of this time zone; local is the host\'s' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l umask -d 'Take these rights from files that the process makes, in octal' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l sysctl -d 'Set a parameter of the kernel in the container\'s namespaces' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l personality -d 'Run in this execution domain: LINUX or LINUX32' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l read-only-tmpfs -d 'Keep /run, /tmp and /var/tmp of a read-only root writable' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand run" -l passwd -d 'Give a user without an account a line in /etc/passwd' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand run" -l passwd-entry -d 'Give the user this line in /etc/passwd, such as \'$USERNAME:x:$UID:$GID::$HOME:/bin/sh\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l group-entry -d 'Give the group this line in /etc/group, such as \'$GROUPNAME:x:$GID:$USERLIST\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l hostuser -d 'Add an account of the host\'s to /etc/passwd' -r
complete -c dhow -n "__fish_dhow_using_subcommand run" -l rm -d 'Remove the container when its program ends'
complete -c dhow -n "__fish_dhow_using_subcommand run" -s q -l quiet -d 'Print no notes and no progress'
complete -c dhow -n "__fish_dhow_using_subcommand run" -s i -l interactive -d 'Keep standard input open'
complete -c dhow -n "__fish_dhow_using_subcommand run" -s t -l tty -d 'Give the process a terminal'
complete -c dhow -n "__fish_dhow_using_subcommand run" -s d -l detach -d 'Run in the background'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l read-only -d 'Mount the image read-only'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l oom-kill-disable -d 'Have processes wait instead of being killed when memory runs out'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l privileged -d 'Take away all walls that can be taken away'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l no-hosts -d 'Leave /etc/hosts as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l no-hostname -d 'Leave /etc/hostname as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l env-host -d 'Pass on all environment variables of this command'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l unsetenv-all -d 'Take all variables of the image\'s away'
complete -c dhow -n "__fish_dhow_using_subcommand run" -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s e -l env -d 'Set an environment variable; a name alone takes its value from here' -r
complete -c dhow -n "__fish_dhow_using_subcommand exec" -l env-file -d 'Read environment variables from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s u -l user -d 'Run as this user, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s w -l workdir -d 'Run in this directory of the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand exec" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s i -l interactive -d 'Keep standard input open'
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s t -l tty -d 'Give the process a terminal'
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s d -l detach -d 'Run in the background'
complete -c dhow -n "__fish_dhow_using_subcommand exec" -l privileged -d 'Give the process all rights'
complete -c dhow -n "__fish_dhow_using_subcommand exec" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand ps" -s f -l filter -d 'List only containers for which this holds: id=, name=, label=, status=, ancestor= or exited=' -r
complete -c dhow -n "__fish_dhow_using_subcommand ps" -s n -l last -d 'List the newest containers, whether they run or not' -r
complete -c dhow -n "__fish_dhow_using_subcommand ps" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand ps" -s a -l all -d 'List all containers, not only those that run'
complete -c dhow -n "__fish_dhow_using_subcommand ps" -s l -l latest -d 'List the newest container'
complete -c dhow -n "__fish_dhow_using_subcommand ps" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand ps" -l no-trunc -d 'Do not shorten ids and commands'
complete -c dhow -n "__fish_dhow_using_subcommand ps" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand logs" -s n -l tail -d 'Show so many lines from the end, or all' -r
complete -c dhow -n "__fish_dhow_using_subcommand logs" -l since -d 'Show nothing older than a time (2026-11-22T03:19:00Z) or a duration (10m)' -r
complete -c dhow -n "__fish_dhow_using_subcommand logs" -l until -d 'Show nothing younger than a time or a duration' -r
complete -c dhow -n "__fish_dhow_using_subcommand logs" -s f -l follow -d 'Go on until the container ends'
complete -c dhow -n "__fish_dhow_using_subcommand logs" -s t -l timestamps -d 'Show the time of each line'
complete -c dhow -n "__fish_dhow_using_subcommand logs" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand stop" -s t -l timeout -l time -d 'Wait so many seconds before killing; the container\'s own stop timeout unless said' -r
complete -c dhow -n "__fish_dhow_using_subcommand stop" -s a -l all -d 'Stop all containers that run'
complete -c dhow -n "__fish_dhow_using_subcommand stop" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand rm" -s a -l all -d 'Remove all containers'
complete -c dhow -n "__fish_dhow_using_subcommand rm" -s f -l force -d 'Kill containers that run; a container that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand rm" -s v -l volumes -d 'Remove their volumes that have no name'
complete -c dhow -n "__fish_dhow_using_subcommand rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l name -d 'Name the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l pull -d 'Fetch the image: always, missing, never or newer' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l platform -d 'Use the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cidfile -d 'Write the container\'s id to a file, which must not exist' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l label-file -d 'Read labels from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l annotation -d 'Add an annotation' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l stop-signal -d 'Stop the program with this signal' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l stop-timeout -d 'Give the program so many seconds to stop before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s e -l env -d 'Set an environment variable; a name alone takes its value from here' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l env-file -d 'Read environment variables from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s u -l user -d 'Run as this user, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s w -l workdir -d 'Run in this directory of the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l entrypoint -d 'Run this program instead of the image\'s; its arguments follow the image' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l group-add -d 'Add the process to a group, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s v -l volume -d 'Mount a path of the host or a volume' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l mount -d 'Mount a path, a volume or a tmpfs, with a name for every field' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l tmpfs -d 'Mount memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l shm-size -d 'Make /dev/shm this large' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l network -l net -d 'Use no network (none, also the default for now), the host\'s (host), a container\'s (container:NAME) or the one at a path (ns:PATH)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s h -l hostname -d 'Name the container\'s host' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l volumes-from -d 'Mount what another container has mounted of volumes and of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l image-volume -l builtin-volume -d 'Make the image\'s volumes anonymous volumes (bind, anonymous), memory (tmpfs) or nothing (ignore)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l volume-driver -d 'Make new volumes by this driver; there is local' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l secret -d 'Give the container a secret, as a file below /run/secrets or as a variable' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l pod -d 'Put the container into a pod, or into a new one (new:NAME)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l pod-id-file -d 'Put the container into the pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s m -l memory -d 'Limit memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l memory-swap -d 'Limit memory and swap together; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l memory-reservation -d 'Keep this much memory when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpus -d 'Limit processors, such as 1.5' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -s c -l cpu-shares -d 'Weigh processor time against other containers; 1024 is usual' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpu-period -d 'Count --cpu-quota by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpu-quota -d 'Use so many microseconds of processors a period; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpu-rt-period -d 'Count --cpu-rt-runtime by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpu-rt-runtime -d 'Run so many microseconds a period in real time' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l memory-swappiness -d 'Swap memory out more or less willingly, 0 to 100' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpuset-cpus -d 'Use these processors only, such as 0-3,7' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cpuset-mems -d 'Use memory of these nodes only' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l pids-limit -d 'Limit processes and threads; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l ulimit -d 'Set a resource limit of processes' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l oom-score-adj -d 'Have processes killed sooner (up to 1000) or later (down to -1000) when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l blkio-weight -d 'Weigh the use of block devices against other containers, 10 to 1000' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l blkio-weight-device -d 'Weigh the use of one device' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l device-read-bps -d 'Limit reading from a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l device-read-iops -d 'Limit reading from a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l device-write-bps -d 'Limit writing to a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l device-write-iops -d 'Limit writing to a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cgroup-parent -d 'Make the control group below this one' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cgroups -d 'Make a control group (enabled, no-conmon) or none (disabled)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cgroup-conf -d 'Write a file of the control group, with version 2' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l device-cgroup-rule -d 'Allow devices by their numbers, such as \'c 10:200 rwm\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l rdt-class -d 'Use this class of caches and memory bandwidth (Intel RDT)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cap-add -d 'Add a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cap-drop -d 'Drop a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l security-opt -d 'Set an option such as no-new-privileges or seccomp=FILE' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l device -d 'Let the container use a device, all of a directory, or one by its name (vendor/class=name)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l gpus -d 'Let the container use GPUs: all, a number of them, or device=NAME[,NAME...]' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l pid -d 'See the processes of the host (host), of a container (container:NAME) or none but one\'s own' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l ipc -d 'Share memory and queues with the host, with a container, or with nobody (private, none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l uts -d 'Have the host\'s name (host), a container\'s, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l cgroupns -d 'See the control groups of the host (host), of a container, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l userns -d 'Have ids of one\'s own: auto, keep-id, nomap, container:NAME, ns:PATH, or the host\'s (host)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l uidmap -d 'Map user ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l gidmap -d 'Map group ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l subuidname -d 'Map the user ids that /etc/subuid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l subgidname -d 'Map the group ids that /etc/subgid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l add-host -d 'Add a name to /etc/hosts' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l hosts-file -d 'Begin /etc/hosts with this file, the image\'s (image) or nothing (none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l domainname -d 'Set the NIS domain name' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l dns -d 'Ask this server for addresses; none leaves /etc/resolv.conf as the image has it' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l dns-search -d 'Look for names without dots in this domain; a dot is for none' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l dns-option -l dns-opt -d 'Set an option of resolving, such as ndots:2' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l env-merge -d 'Set a variable from what the image says of it, such as PATH=${PATH}:/opt/bin' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l unsetenv -d 'Take a variable of the image\'s away' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l http-proxy -d 'Pass on the variables for proxies' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand create" -l tz -d 'Have the clock of this time zone; local is the host\'s' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l umask -d 'Take these rights from files that the process makes, in octal' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l sysctl -d 'Set a parameter of the kernel in the container\'s namespaces' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l personality -d 'Run in this execution domain: LINUX or LINUX32' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l read-only-tmpfs -d 'Keep /run, /tmp and /var/tmp of a read-only root writable' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand create" -l passwd -d 'Give a user without an account a line in /etc/passwd' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand create" -l passwd-entry -d 'Give the user this line in /etc/passwd, such as \'$USERNAME:x:$UID:$GID::$HOME:/bin/sh\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l group-entry -d 'Give the group this line in /etc/group, such as \'$GROUPNAME:x:$GID:$USERLIST\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l hostuser -d 'Add an account of the host\'s to /etc/passwd' -r
complete -c dhow -n "__fish_dhow_using_subcommand create" -l rm -d 'Remove the container when its program ends'
complete -c dhow -n "__fish_dhow_using_subcommand create" -s q -l quiet -d 'Print no notes and no progress'
complete -c dhow -n "__fish_dhow_using_subcommand create" -s i -l interactive -d 'Keep standard input open'
complete -c dhow -n "__fish_dhow_using_subcommand create" -s t -l tty -d 'Give the process a terminal'
complete -c dhow -n "__fish_dhow_using_subcommand create" -s d -l detach -d 'Run in the background'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l read-only -d 'Mount the image read-only'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l oom-kill-disable -d 'Have processes wait instead of being killed when memory runs out'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l privileged -d 'Take away all walls that can be taken away'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l no-hosts -d 'Leave /etc/hosts as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l no-hostname -d 'Leave /etc/hostname as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l env-host -d 'Pass on all environment variables of this command'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l unsetenv-all -d 'Take all variables of the image\'s away'
complete -c dhow -n "__fish_dhow_using_subcommand create" -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand start" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand start" -s a -l attach -d 'Show the output and pass signals on'
complete -c dhow -n "__fish_dhow_using_subcommand start" -s i -l interactive -d 'Connect standard input too'
complete -c dhow -n "__fish_dhow_using_subcommand start" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand attach" -l sig-proxy -d 'Pass signals on to the program' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand attach" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand attach" -l no-stdin -d 'Do not connect standard input'
complete -c dhow -n "__fish_dhow_using_subcommand attach" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand kill" -s s -l signal -d 'The signal, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand kill" -s a -l all -d 'Signal all containers that run'
complete -c dhow -n "__fish_dhow_using_subcommand kill" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand wait" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand inspect" -l type -d 'Look for objects of this type only' -r -f -a "container\t'A container'
image\t'An image'"
complete -c dhow -n "__fish_dhow_using_subcommand inspect" -s f -l format -d 'Print as json or by a template such as \'{{.State.Status}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l platform -d 'Fetch the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l policy -d 'Ask the registry: always, missing (where the image is not here), newer or never' -r
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand pull" -s q -l quiet -d 'Print nothing but ids'
complete -c dhow -n "__fish_dhow_using_subcommand pull" -l all-platforms -d 'Fetch the images of all platforms'
complete -c dhow -n "__fish_dhow_using_subcommand pull" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand push" -s f -l format -d 'The kind of manifest that is sent: oci or v2s2' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l compression-format -d 'Compress all layers so: gzip, zstd or zstd:chunked' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l compression-level -d 'How hard to compress' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l force-compression -d 'Compress layers anew that are compressed; with =false only those that are not' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand push" -l digestfile -d 'Write the manifest\'s digest to this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand push" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand push" -s a -l all-tags -d 'Send all tags of the repository that IMAGE names'
complete -c dhow -n "__fish_dhow_using_subcommand push" -s q -l quiet -d 'Show no progress'
complete -c dhow -n "__fish_dhow_using_subcommand push" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand login" -s u -l username -d 'The name' -r
complete -c dhow -n "__fish_dhow_using_subcommand login" -s p -l password -d 'The password; others may see it in the list of processes' -r
complete -c dhow -n "__fish_dhow_using_subcommand login" -l compat-auth-file -d 'Keep it in this file as docker does' -r
complete -c dhow -n "__fish_dhow_using_subcommand login" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand login" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand login" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand login" -l password-stdin -d 'Read the password from standard input'
complete -c dhow -n "__fish_dhow_using_subcommand login" -l get-login -d 'Print the name that is kept for the registry, and do nothing'
complete -c dhow -n "__fish_dhow_using_subcommand login" -s v -l verbose -d 'Say where it is kept'
complete -c dhow -n "__fish_dhow_using_subcommand login" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand logout" -l authfile -d 'Forget it in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand logout" -l tls-verify -d 'Accepted for skopeo\'s sake: no registry is asked' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand logout" -l compat-auth-file -d 'Forget it in this file, which docker has written' -r
complete -c dhow -n "__fish_dhow_using_subcommand logout" -s a -l all -d 'Forget all registries that the file knows'
complete -c dhow -n "__fish_dhow_using_subcommand logout" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand images" -s f -l filter -d 'List only images for which this holds: reference=, label= or dangling=' -r
complete -c dhow -n "__fish_dhow_using_subcommand images" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand images" -s a -l all -d 'List all images, which is what happens anyway'
complete -c dhow -n "__fish_dhow_using_subcommand images" -l digests -d 'Show the digests of manifests'
complete -c dhow -n "__fish_dhow_using_subcommand images" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand images" -l no-trunc -d 'Do not shorten ids'
complete -c dhow -n "__fish_dhow_using_subcommand images" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand rmi" -s a -l all -d 'Remove all images'
complete -c dhow -n "__fish_dhow_using_subcommand rmi" -s f -l force -d 'Remove all names of an image at once; an image that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand rmi" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand tag" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand untag" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand save" -l format -d 'The form of the file' -r -f -a "docker-archive\t'What `docker save` writes'
oci-archive\t'A tar file of an OCI image layout'
oci-dir\t'An OCI image layout in a directory'
docker-dir\t'One image as a directory of files'"
complete -c dhow -n "__fish_dhow_using_subcommand save" -s o -l output -d 'Write to this file instead of standard output' -r
complete -c dhow -n "__fish_dhow_using_subcommand save" -l compress -d 'Compress layers that are not, in a directory'
complete -c dhow -n "__fish_dhow_using_subcommand save" -s m -l multi-image-archive -d 'Accepted for podman\'s sake: several images always go into one archive'
complete -c dhow -n "__fish_dhow_using_subcommand save" -s q -l quiet -d 'Accepted for podman\'s sake: nothing is printed anyway'
complete -c dhow -n "__fish_dhow_using_subcommand save" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand load" -s i -l input -d 'Read this file or directory instead of standard input' -r
complete -c dhow -n "__fish_dhow_using_subcommand load" -s q -l quiet -d 'Print nothing but the names'
complete -c dhow -n "__fish_dhow_using_subcommand load" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand import" -s c -l change -d 'Change the configuration by a line of a Dockerfile, such as \'CMD ["sh"]\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand import" -s m -l message -d 'Say why the image was made' -r
complete -c dhow -n "__fish_dhow_using_subcommand import" -l platform -d 'Say that the image is for this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand import" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand import" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand import" -s q -l quiet -d 'Accepted for podman\'s sake: nothing but the id is printed anyway'
complete -c dhow -n "__fish_dhow_using_subcommand import" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand history" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand history" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand history" -l no-trunc -d 'Do not shorten ids and steps'
complete -c dhow -n "__fish_dhow_using_subcommand history" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand doctor" -l format -d 'Print as text, or as json (one object a line)' -r -f -a "text\t''
json\t''"
complete -c dhow -n "__fish_dhow_using_subcommand doctor" -l content -d 'Hash every blob again'
complete -c dhow -n "__fish_dhow_using_subcommand doctor" -l repair -d 'First remove what no row names, and let go of images that are not whole'
complete -c dhow -n "__fish_dhow_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand selftest" -l format -d 'Print a line an attack, or a JSON document' -r -f -a "text\t''
json\t''"
complete -c dhow -n "__fish_dhow_using_subcommand selftest" -l attack -d 'Play the attacks'
complete -c dhow -n "__fish_dhow_using_subcommand selftest" -l full -d 'Play those that need luck thousands of times, for hours'
complete -c dhow -n "__fish_dhow_using_subcommand selftest" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand completion" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand cleanup" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "run" -d 'Run a program in a new container'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "exec" -d 'Run a program in a running container'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "ls" -d 'List containers'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "logs" -d 'Show what a container has printed'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "stop" -d 'Stop containers'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "rm" -d 'Remove containers'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "create" -d 'Create a container without starting it'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "start" -d 'Start containers that do not run'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "attach" -d 'Connect to a running container'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "kill" -d 'Send a signal to containers'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "wait" -d 'Wait until containers end and print their exit codes'
complete -c dhow -n "__fish_dhow_using_subcommand container; and not __fish_seen_subcommand_from run exec ls logs stop rm create start attach kill wait inspect" -f -a "inspect" -d 'Show all that is known of containers and images'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l sig-proxy -d 'Pass signals on to the program' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l name -d 'Name the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l pull -d 'Fetch the image: always, missing, never or newer' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l platform -d 'Use the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cidfile -d 'Write the container\'s id to a file, which must not exist' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l label-file -d 'Read labels from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l annotation -d 'Add an annotation' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l stop-signal -d 'Stop the program with this signal' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l stop-timeout -d 'Give the program so many seconds to stop before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s e -l env -d 'Set an environment variable; a name alone takes its value from here' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l env-file -d 'Read environment variables from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s u -l user -d 'Run as this user, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s w -l workdir -d 'Run in this directory of the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l entrypoint -d 'Run this program instead of the image\'s; its arguments follow the image' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l group-add -d 'Add the process to a group, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s v -l volume -d 'Mount a path of the host or a volume' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l mount -d 'Mount a path, a volume or a tmpfs, with a name for every field' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l tmpfs -d 'Mount memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l shm-size -d 'Make /dev/shm this large' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l network -l net -d 'Use no network (none, also the default for now), the host\'s (host), a container\'s (container:NAME) or the one at a path (ns:PATH)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s h -l hostname -d 'Name the container\'s host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l volumes-from -d 'Mount what another container has mounted of volumes and of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l image-volume -l builtin-volume -d 'Make the image\'s volumes anonymous volumes (bind, anonymous), memory (tmpfs) or nothing (ignore)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l volume-driver -d 'Make new volumes by this driver; there is local' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l secret -d 'Give the container a secret, as a file below /run/secrets or as a variable' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l pod -d 'Put the container into a pod, or into a new one (new:NAME)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l pod-id-file -d 'Put the container into the pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s m -l memory -d 'Limit memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-swap -d 'Limit memory and swap together; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-reservation -d 'Keep this much memory when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpus -d 'Limit processors, such as 1.5' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s c -l cpu-shares -d 'Weigh processor time against other containers; 1024 is usual' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-period -d 'Count --cpu-quota by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-quota -d 'Use so many microseconds of processors a period; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-rt-period -d 'Count --cpu-rt-runtime by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpu-rt-runtime -d 'Run so many microseconds a period in real time' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l memory-swappiness -d 'Swap memory out more or less willingly, 0 to 100' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpuset-cpus -d 'Use these processors only, such as 0-3,7' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cpuset-mems -d 'Use memory of these nodes only' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l pids-limit -d 'Limit processes and threads; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l ulimit -d 'Set a resource limit of processes' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l oom-score-adj -d 'Have processes killed sooner (up to 1000) or later (down to -1000) when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l blkio-weight -d 'Weigh the use of block devices against other containers, 10 to 1000' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l blkio-weight-device -d 'Weigh the use of one device' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l device-read-bps -d 'Limit reading from a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l device-read-iops -d 'Limit reading from a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l device-write-bps -d 'Limit writing to a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l device-write-iops -d 'Limit writing to a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroup-parent -d 'Make the control group below this one' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroups -d 'Make a control group (enabled, no-conmon) or none (disabled)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroup-conf -d 'Write a file of the control group, with version 2' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l device-cgroup-rule -d 'Allow devices by their numbers, such as \'c 10:200 rwm\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l rdt-class -d 'Use this class of caches and memory bandwidth (Intel RDT)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cap-add -d 'Add a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cap-drop -d 'Drop a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l security-opt -d 'Set an option such as no-new-privileges or seccomp=FILE' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l device -d 'Let the container use a device, all of a directory, or one by its name (vendor/class=name)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l gpus -d 'Let the container use GPUs: all, a number of them, or device=NAME[,NAME...]' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l pid -d 'See the processes of the host (host), of a container (container:NAME) or none but one\'s own' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l ipc -d 'Share memory and queues with the host, with a container, or with nobody (private, none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l uts -d 'Have the host\'s name (host), a container\'s, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l cgroupns -d 'See the control groups of the host (host), of a container, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l userns -d 'Have ids of one\'s own: auto, keep-id, nomap, container:NAME, ns:PATH, or the host\'s (host)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l uidmap -d 'Map user ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l gidmap -d 'Map group ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l subuidname -d 'Map the user ids that /etc/subuid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l subgidname -d 'Map the group ids that /etc/subgid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l add-host -d 'Add a name to /etc/hosts' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l hosts-file -d 'Begin /etc/hosts with this file, the image\'s (image) or nothing (none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l domainname -d 'Set the NIS domain name' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l dns -d 'Ask this server for addresses; none leaves /etc/resolv.conf as the image has it' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l dns-search -d 'Look for names without dots in this domain; a dot is for none' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l dns-option -l dns-opt -d 'Set an option of resolving, such as ndots:2' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l env-merge -d 'Set a variable from what the image says of it, such as PATH=${PATH}:/opt/bin' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l unsetenv -d 'Take a variable of the image\'s away' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l http-proxy -d 'Pass on the variables for proxies' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l tz -d 'Have the clock of this time zone; local is the host\'s' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l umask -d 'Take these rights from files that the process makes, in octal' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l sysctl -d 'Set a parameter of the kernel in the container\'s namespaces' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l personality -d 'Run in this execution domain: LINUX or LINUX32' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l read-only-tmpfs -d 'Keep /run, /tmp and /var/tmp of a read-only root writable' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l passwd -d 'Give a user without an account a line in /etc/passwd' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l passwd-entry -d 'Give the user this line in /etc/passwd, such as \'$USERNAME:x:$UID:$GID::$HOME:/bin/sh\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l group-entry -d 'Give the group this line in /etc/group, such as \'$GROUPNAME:x:$GID:$USERLIST\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l hostuser -d 'Add an account of the host\'s to /etc/passwd' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l rm -d 'Remove the container when its program ends'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print no notes and no progress'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s i -l interactive -d 'Keep standard input open'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s t -l tty -d 'Give the process a terminal'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -s d -l detach -d 'Run in the background'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l read-only -d 'Mount the image read-only'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l oom-kill-disable -d 'Have processes wait instead of being killed when memory runs out'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l privileged -d 'Take away all walls that can be taken away'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l no-hosts -d 'Leave /etc/hosts as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l no-hostname -d 'Leave /etc/hostname as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l env-host -d 'Pass on all environment variables of this command'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l unsetenv-all -d 'Take all variables of the image\'s away'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from run" -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s e -l env -d 'Set an environment variable; a name alone takes its value from here' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -l env-file -d 'Read environment variables from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s u -l user -d 'Run as this user, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s w -l workdir -d 'Run in this directory of the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s i -l interactive -d 'Keep standard input open'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s t -l tty -d 'Give the process a terminal'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s d -l detach -d 'Run in the background'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -l privileged -d 'Give the process all rights'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from exec" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -s f -l filter -d 'List only containers for which this holds: id=, name=, label=, status=, ancestor= or exited=' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -s n -l last -d 'List the newest containers, whether they run or not' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -s a -l all -d 'List all containers, not only those that run'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -s l -l latest -d 'List the newest container'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not shorten ids and commands'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from logs" -s n -l tail -d 'Show so many lines from the end, or all' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from logs" -l since -d 'Show nothing older than a time (2026-11-22T03:19:00Z) or a duration (10m)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from logs" -l until -d 'Show nothing younger than a time or a duration' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on until the container ends'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from logs" -s t -l timestamps -d 'Show the time of each line'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from stop" -s t -l timeout -l time -d 'Wait so many seconds before killing; the container\'s own stop timeout unless said' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from stop" -s a -l all -d 'Stop all containers that run'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all containers'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from rm" -s f -l force -d 'Kill containers that run; a container that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from rm" -s v -l volumes -d 'Remove their volumes that have no name'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l name -d 'Name the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l pull -d 'Fetch the image: always, missing, never or newer' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l platform -d 'Use the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cidfile -d 'Write the container\'s id to a file, which must not exist' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l label-file -d 'Read labels from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l annotation -d 'Add an annotation' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l stop-signal -d 'Stop the program with this signal' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l stop-timeout -d 'Give the program so many seconds to stop before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s e -l env -d 'Set an environment variable; a name alone takes its value from here' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l env-file -d 'Read environment variables from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s u -l user -d 'Run as this user, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s w -l workdir -d 'Run in this directory of the container' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l entrypoint -d 'Run this program instead of the image\'s; its arguments follow the image' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l group-add -d 'Add the process to a group, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s v -l volume -d 'Mount a path of the host or a volume' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l mount -d 'Mount a path, a volume or a tmpfs, with a name for every field' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l tmpfs -d 'Mount memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l shm-size -d 'Make /dev/shm this large' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l network -l net -d 'Use no network (none, also the default for now), the host\'s (host), a container\'s (container:NAME) or the one at a path (ns:PATH)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s h -l hostname -d 'Name the container\'s host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l volumes-from -d 'Mount what another container has mounted of volumes and of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l image-volume -l builtin-volume -d 'Make the image\'s volumes anonymous volumes (bind, anonymous), memory (tmpfs) or nothing (ignore)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l volume-driver -d 'Make new volumes by this driver; there is local' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l secret -d 'Give the container a secret, as a file below /run/secrets or as a variable' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l pod -d 'Put the container into a pod, or into a new one (new:NAME)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l pod-id-file -d 'Put the container into the pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s m -l memory -d 'Limit memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-swap -d 'Limit memory and swap together; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-reservation -d 'Keep this much memory when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpus -d 'Limit processors, such as 1.5' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s c -l cpu-shares -d 'Weigh processor time against other containers; 1024 is usual' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-period -d 'Count --cpu-quota by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-quota -d 'Use so many microseconds of processors a period; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-rt-period -d 'Count --cpu-rt-runtime by this many microseconds' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpu-rt-runtime -d 'Run so many microseconds a period in real time' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l memory-swappiness -d 'Swap memory out more or less willingly, 0 to 100' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpuset-cpus -d 'Use these processors only, such as 0-3,7' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cpuset-mems -d 'Use memory of these nodes only' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l pids-limit -d 'Limit processes and threads; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l ulimit -d 'Set a resource limit of processes' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l oom-score-adj -d 'Have processes killed sooner (up to 1000) or later (down to -1000) when memory runs out' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l blkio-weight -d 'Weigh the use of block devices against other containers, 10 to 1000' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l blkio-weight-device -d 'Weigh the use of one device' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l device-read-bps -d 'Limit reading from a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l device-read-iops -d 'Limit reading from a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l device-write-bps -d 'Limit writing to a device, in bytes a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l device-write-iops -d 'Limit writing to a device, in operations a second' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroup-parent -d 'Make the control group below this one' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroups -d 'Make a control group (enabled, no-conmon) or none (disabled)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroup-conf -d 'Write a file of the control group, with version 2' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l device-cgroup-rule -d 'Allow devices by their numbers, such as \'c 10:200 rwm\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l rdt-class -d 'Use this class of caches and memory bandwidth (Intel RDT)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cap-add -d 'Add a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cap-drop -d 'Drop a capability; ALL for all' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l security-opt -d 'Set an option such as no-new-privileges or seccomp=FILE' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l device -d 'Let the container use a device, all of a directory, or one by its name (vendor/class=name)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l gpus -d 'Let the container use GPUs: all, a number of them, or device=NAME[,NAME...]' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l pid -d 'See the processes of the host (host), of a container (container:NAME) or none but one\'s own' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l ipc -d 'Share memory and queues with the host, with a container, or with nobody (private, none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l uts -d 'Have the host\'s name (host), a container\'s, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l cgroupns -d 'See the control groups of the host (host), of a container, or one\'s own (private)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l userns -d 'Have ids of one\'s own: auto, keep-id, nomap, container:NAME, ns:PATH, or the host\'s (host)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l uidmap -d 'Map user ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l gidmap -d 'Map group ids of the container to ids of the host' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l subuidname -d 'Map the user ids that /etc/subuid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l subgidname -d 'Map the group ids that /etc/subgid gives to this name' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l add-host -d 'Add a name to /etc/hosts' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l hosts-file -d 'Begin /etc/hosts with this file, the image\'s (image) or nothing (none)' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l domainname -d 'Set the NIS domain name' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l dns -d 'Ask this server for addresses; none leaves /etc/resolv.conf as the image has it' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l dns-search -d 'Look for names without dots in this domain; a dot is for none' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l dns-option -l dns-opt -d 'Set an option of resolving, such as ndots:2' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l env-merge -d 'Set a variable from what the image says of it, such as PATH=${PATH}:/opt/bin' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l unsetenv -d 'Take a variable of the image\'s away' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l http-proxy -d 'Pass on the variables for proxies' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l tz -d 'Have the clock of this time zone; local is the host\'s' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l umask -d 'Take these rights from files that the process makes, in octal' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l sysctl -d 'Set a parameter of the kernel in the container\'s namespaces' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l personality -d 'Run in this execution domain: LINUX or LINUX32' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l read-only-tmpfs -d 'Keep /run, /tmp and /var/tmp of a read-only root writable' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l passwd -d 'Give a user without an account a line in /etc/passwd' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l passwd-entry -d 'Give the user this line in /etc/passwd, such as \'$USERNAME:x:$UID:$GID::$HOME:/bin/sh\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l group-entry -d 'Give the group this line in /etc/group, such as \'$GROUPNAME:x:$GID:$USERLIST\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l hostuser -d 'Add an account of the host\'s to /etc/passwd' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l rm -d 'Remove the container when its program ends'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Print no notes and no progress'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s i -l interactive -d 'Keep standard input open'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s t -l tty -d 'Give the process a terminal'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -s d -l detach -d 'Run in the background'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l read-only -d 'Mount the image read-only'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l oom-kill-disable -d 'Have processes wait instead of being killed when memory runs out'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l privileged -d 'Take away all walls that can be taken away'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l no-hosts -d 'Leave /etc/hosts as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l no-hostname -d 'Leave /etc/hostname as the image has it'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l env-host -d 'Pass on all environment variables of this command'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l unsetenv-all -d 'Take all variables of the image\'s away'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from start" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from start" -s a -l attach -d 'Show the output and pass signals on'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from start" -s i -l interactive -d 'Connect standard input too'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from attach" -l sig-proxy -d 'Pass signals on to the program' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from attach" -l detach-keys -d 'Leave the session, but not the process, with these keys' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from attach" -l no-stdin -d 'Do not connect standard input'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from attach" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from kill" -s s -l signal -d 'The signal, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from kill" -s a -l all -d 'Signal all containers that run'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from wait" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from inspect" -l type -d 'Look for objects of this type only' -r -f -a "container\t'A container'
image\t'An image'"
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Print as json or by a template such as \'{{.State.Status}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand container; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "ls" -d 'List images'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "pull" -d 'Fetch images'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "push" -d 'Send an image to a registry'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "rm" -d 'Remove images'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "tag" -d 'Give an image more names'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "untag" -d 'Take names from an image and keep it'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "history" -d 'Show how an image was made'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "save" -d 'Write images into a file'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "load" -d 'Take images in from a file'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "import" -d 'Make an image of the tar file of a file system'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "inspect" -d 'Show all that is known of an image at any place'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "copy" -d 'Copy an image from place to place'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "list-tags" -d 'List the tags of a repository or archive'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "sync" -d 'Copy all images of a repository, directory or list'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "delete" -d 'Delete an image at a place'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "manifest-digest" -d 'Print the digest that a manifest in a file has'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "prune" -d 'Remove images that nobody needs'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "tree" -d 'Show the layers of an image'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "referrers" -d 'List what refers to an image: signatures, bills of materials and the like'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "mount" -d 'Mount the root of images for reading, or list what is mounted'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "unmount" -d 'Take the mounts of images away that `image mount` made'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "discard" -d 'Discard the compressed layers of images, which a registry has too'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "diff" -d 'Show what files an image has otherwise than another one'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "export" -d 'Write the root of an image as a tar file'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "unpack" -d 'Unpack an image to a bundle that can be changed'
complete -c dhow -n "__fish_dhow_using_subcommand image; and not __fish_seen_subcommand_from ls pull push rm tag untag history save load import inspect copy list-tags sync delete manifest-digest prune tree referrers mount unmount discard diff export unpack repack" -f -a "repack" -d 'Pack what has changed in a bundle as a layer'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -s f -l filter -d 'List only images for which this holds: reference=, label= or dangling=' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -s a -l all -d 'List all images, which is what happens anyway'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -l digests -d 'Show the digests of manifests'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not shorten ids'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l platform -d 'Fetch the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l policy -d 'Ask the registry: always, missing (where the image is not here), newer or never' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Print nothing but ids'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -l all-platforms -d 'Fetch the images of all platforms'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from pull" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -s f -l format -d 'The kind of manifest that is sent: oci or v2s2' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l compression-format -d 'Compress all layers so: gzip, zstd or zstd:chunked' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l compression-level -d 'How hard to compress' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l force-compression -d 'Compress layers anew that are compressed; with =false only those that are not' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l digestfile -d 'Write the manifest\'s digest to this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -s a -l all-tags -d 'Send all tags of the repository that IMAGE names'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Show no progress'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from push" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all images'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from rm" -s f -l force -d 'Remove all names of an image at once; an image that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from tag" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from untag" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from history" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from history" -l no-trunc -d 'Do not shorten ids and steps'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from save" -l format -d 'The form of the file' -r -f -a "docker-archive\t'What `docker save` writes'
oci-archive\t'A tar file of an OCI image layout'
oci-dir\t'An OCI image layout in a directory'
docker-dir\t'One image as a directory of files'"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from save" -s o -l output -d 'Write to this file instead of standard output' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from save" -l compress -d 'Compress layers that are not, in a directory'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from save" -s m -l multi-image-archive -d 'Accepted for podman\'s sake: several images always go into one archive'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from save" -s q -l quiet -d 'Accepted for podman\'s sake: nothing is printed anyway'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from save" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from load" -s i -l input -d 'Read this file or directory instead of standard input' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from load" -s q -l quiet -d 'Print nothing but the names'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from load" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -s c -l change -d 'Change the configuration by a line of a Dockerfile, such as \'CMD ["sh"]\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -s m -l message -d 'Say why the image was made' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -l platform -d 'Say that the image is for this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -s q -l quiet -d 'Accepted for podman\'s sake: nothing but the id is printed anyway'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Print as json or by a template such as \'{{.Digest}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l retry-times -d 'How often a request is tried again' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l retry-delay -d 'Not kept: the registry says when to try again, or the pauses double' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l config -d 'Print the configuration'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -s n -l no-tags -d 'Do not list the tags of the repository'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l raw -d 'Print the manifest, or with --config the configuration, as it is'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l additional-tag -d 'One more name for the copy, in a docker-archive' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l authfile -d 'Read credentials for both places from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-compress-format -d 'Compress all layers so: gzip, zstd or zstd:chunked' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-compress-level -d 'How hard to compress' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l digestfile -d 'Write the digest of the copy to this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -s f -l format -d 'The kind of manifest that the copy has: oci or v2s2' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l multi-arch -d 'Which images of a list to copy' -r -f -a "system\t'The one for this platform'
all\t'All'
index-only\t'None, only the list'"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l platform -d 'Copy the image of this platform' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l retry-times -d 'How often a request is tried again' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l retry-delay -d 'Not kept: the registry says when to try again, or the pauses double' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l sign-by -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l sign-by-sq-fingerprint -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l sign-by-sigstore -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l sign-by-sigstore-private-key -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l sign-identity -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l sign-passphrase-file -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l decryption-key -d 'Refused: no layer is decrypted' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l encrypt-layer -d 'Refused: no layer is encrypted' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l encryption-key -d 'Refused: no layer is encrypted' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-daemon-host -d 'Refused: Docker\'s daemon is no place to copy from' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-daemon-host -d 'Refused: Docker\'s daemon is no place to copy to' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l image-parallel-copies -d 'Not kept: dhow sends as many layers at once as suits it' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -s a -l all -d 'Copy the images for all platforms'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-compress -d 'Compress layers that are not'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-decompress -d 'Uncompress all layers'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-oci-accept-uncompressed-layers -d 'Leave uncompressed layers so'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-precompute-digests -d 'Accepted for skopeo\'s sake: digests are always known before anything is sent'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-force-compress-format -d 'Accepted for skopeo\'s sake: with a format all layers have it'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l preserve-digests -d 'Fail rather than change a digest'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -s q -l quiet -d 'Print nothing'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l remove-signatures -d 'Leave signatures behind'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l src-no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -l dest-no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from copy" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l retry-times -d 'How often a request is tried again' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l retry-delay -d 'Not kept: the registry says when to try again, or the pauses double' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from list-tags" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l append-suffix -d 'Put this behind each tag' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l authfile -d 'Read credentials for both places from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l digestfile -d 'Refused: the digests of the copies are not written down' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -s d -l dest -d 'What the destination is' -r -f -a "docker\t'A name in a registry'
dir\t'A directory'"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -s f -l format -d 'The kind of manifest that the copies have: oci or v2s2' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l retry-times -d 'How often a request is tried again' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l retry-delay -d 'Not kept: the registry says when to try again, or the pauses double' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l sign-by -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l sign-by-sq-fingerprint -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l sign-by-sigstore -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l sign-by-sigstore-private-key -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l sign-identity -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l sign-passphrase-file -d 'Refused: nothing is signed yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -s s -l src -d 'What the source is' -r -f -a "docker\t'A repository of a registry'
dir\t'A directory of images'
yaml\t'A list of repositories and tags'"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -s a -l all -d 'Copy the images for all platforms'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dry-run -d 'Only say what would be copied'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l keep-going -d 'Go on with the others when one fails'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l preserve-digests -d 'Fail rather than change a digest'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l remove-signatures -d 'Leave signatures behind'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l scoped -d 'Keep the whole name of the source below the destination'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l src-no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -l dest-no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from sync" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l retry-times -d 'How often a request is tried again' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l retry-delay -d 'Not kept: the registry says when to try again, or the pauses double' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from manifest-digest" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what this holds for: until=, for images also label= or label!=' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all images that no container is made of'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from tree" -l whatrequires -d 'Show all images that stand on this one instead'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from tree" -l no-trunc -d 'Do not shorten ids'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from tree" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l artifact-type -d 'List only what is of this type' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l retry-times -d 'How often a request is tried again' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -s q -l quiet -d 'Print digests only'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from referrers" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from mount" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from mount" -s a -l all -d 'Mount all images'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from mount" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from unmount" -s a -l all -d 'All images that are mounted'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from unmount" -s f -l force -d 'Whoever else wants it'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from unmount" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -l cert-dir -d 'Look for authorities and certificates to show in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -l tls-verify -d 'Check certificates whatever registries.conf says; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -s a -l all -d 'All images'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -s f -l force -d 'Ask no registry: believe that it still has what came from it'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from discard" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from diff" -l format -d 'Print as text or as json' -r -f -a "text\t''
json\t''"
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to this file instead of standard output' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from unpack" -l image -d 'The image: the directory of an OCI image layout, and the name in it' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from unpack" -l platform -d 'The platform, where the layout has the image for several' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from unpack" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -l image -d 'The layout that the bundle was unpacked from, and the new name in it' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -l mask-path -d 'Leave out this path of the root, with all below it (can be repeated)' -r -F
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -l created-by -l history.created_by -d 'What the image\'s history says of the step' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -l compression-format -d 'How the layer is compressed: none, gzip, zstd or zstd:chunked' -r
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -l refresh-bundle -d 'Let the bundle stand for the new image afterwards'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -l no-mask-volumes -d 'Do not leave out the image\'s volumes'
complete -c dhow -n "__fish_dhow_using_subcommand image; and __fish_seen_subcommand_from repack" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "create" -d 'Make a list of images for several platforms'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "add" -d 'Add images to a list'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "annotate" -d 'Change what a list says of one of its images'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "exists" -d 'Say by the exit code whether there is a list of this name'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "inspect" -d 'Show the document of a list'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "push" -d 'Send a list and its images to a registry or another place'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "remove" -d 'Take an image out of a list'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and not __fish_seen_subcommand_from create add annotate exists inspect push remove rm" -f -a "rm" -d 'Remove lists; their images stay'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -s a -l all -d 'Add all images of an index, not only the one for this machine'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l amend -d 'Go on with a list that exists'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l annotation -d 'Note something of the image' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l arch -d 'Say for which processor it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l features -d 'Say what the processor must have' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l os -d 'Say for which system it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l os-features -d 'Say what the system must have' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l os-version -d 'Say for which version of the system it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l variant -d 'Say for which kind of the processor it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -s a -l all -d 'Add all images of an index, not only the one for this machine'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l annotation -d 'Note something of the image' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l arch -d 'Say for which processor it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l features -d 'Say what the processor must have' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os -d 'Say for which system it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os-features -d 'Say what the system must have' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l os-version -d 'Say for which version of the system it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -l variant -d 'Say for which kind of the processor it is' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from annotate" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from exists" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l all -d 'Send the images too; with =false they are there already' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l digestfile -d 'Write the list\'s digest to this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -s f -l format -d 'The kind of documents that are sent: oci or v2s2' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Show no progress'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l rm -d 'Remove the list here when it is there'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from push" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand manifest; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand system; and not __fish_seen_subcommand_from df check prune" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand system; and not __fish_seen_subcommand_from df check prune" -f -a "df" -d 'Show what images, containers and volumes cost on disk'
complete -c dhow -n "__fish_dhow_using_subcommand system; and not __fish_seen_subcommand_from df check prune" -f -a "check" -d 'Prove that everything stored is whole'
complete -c dhow -n "__fish_dhow_using_subcommand system; and not __fish_seen_subcommand_from df check prune" -f -a "prune" -d 'Remove what is not in use: stopped containers, images, interrupted pulls'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from df" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from df" -s v -l verbose -d 'Show each image, container and volume'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from df" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from check" -l format -d 'Print as text, or as json (one object a line)' -r -f -a "text\t''
json\t''"
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from check" -s q -l quick -d 'Compare names and sizes only'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from check" -s r -l repair -d 'First remove what no row names, and let go of images that are not whole'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only what this holds for: until=, for images also label= or label!=' -r
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove all images that no container is made of'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from prune" -l volumes -d 'Remove the volumes that nobody has named and no container uses'
complete -c dhow -n "__fish_dhow_using_subcommand system; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "add" -d 'Make an artifact of files'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "extract" -d 'Write the files of an artifact'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "inspect" -d 'Show all that is known of an artifact'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "ls" -d 'List artifacts'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "pull" -d 'Fetch an artifact from a registry'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "push" -d 'Send an artifact to a registry'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and not __fish_seen_subcommand_from add extract inspect ls pull push rm" -f -a "rm" -d 'Remove artifacts'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from add" -l annotation -d 'Note something of each file' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from add" -l file-type -d 'What the files are: their media type' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from add" -l type -d 'What the artifact is: its media type' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from add" -s a -l append -d 'Add the files to an artifact that is there'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from add" -l replace -d 'Take the place of an artifact that is there'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from extract" -l digest -d 'Only the file with this digest' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from extract" -l title -d 'Only the file with this title' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from extract" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Print as json or by a template such as \'{{.Digest}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from ls" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print digests only'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from ls" -l no-trunc -d 'Do not shorten digests'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -s q -l quiet -d 'Show no progress'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from pull" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l authfile -d 'Read credentials from this file alone' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l cert-dir -d 'Use the certificates (*.crt, *.cert, *.key) in this directory' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l creds -d 'Use this name and password at the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l password -d 'The password at the registry, with a username' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l registry-token -d 'Send this bearer token to the registry' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l shared-blob-dir -d 'The directory in which OCI layouts share their blobs' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l tls-verify -d 'Check certificates; with =false do not, and try plain HTTP too' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l username -d 'The name at the registry, with a password' -r
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -s q -l quiet -d 'Show no progress'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -l no-creds -d 'Ask the registry as nobody'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from push" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all artifacts'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from rm" -s i -l ignore -d 'An artifact that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand artifact; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "create" -d 'Make a volume'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "ls" -d 'List volumes'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "inspect" -d 'Show all that is known of volumes'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "rm" -d 'Remove volumes, with all that is in them'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "prune" -d 'Remove the volumes that no container uses and nobody has named'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "exists" -d 'Say by the exit code whether there is a volume of this name'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "export" -d 'Write what is in a volume as a tar file'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "import" -d 'Put what is in a tar file into a volume, over what is there'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "mount" -d 'Print where the data of volumes is on the host, mounted where it is a file system of its own'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "unmount" -d 'Take back what `volume mount` did'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and not __fish_seen_subcommand_from create ls inspect rm prune exists export import mount unmount reload" -f -a "reload" -d 'Do nothing: there are no volume plugins whose volumes could have changed'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -l name -d 'Name the volume' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -s d -l driver -d 'Use this driver; there is local' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -s o -l opt -d 'Set an option of the driver\'s: type, device, o, size' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -l uid -d 'Give its directory to this user' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -l gid -d 'Give its directory to this group' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -l ignore -d 'One of this name, made in whatever way, is as good'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from ls" -s f -l filter -d 'List only volumes for which this holds: name=, label=, dangling=, driver=, opt=, until= …' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from ls" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print names only'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from ls" -s n -l noheading -d 'Print the table without titles'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Print as json or by a template such as \'{{.Mountpoint}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from inspect" -s a -l all -d 'Show all volumes'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from rm" -s t -l time -d 'Not kept: no container is stopped' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all volumes'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from rm" -s f -l force -d 'One that is not there is no error, one that is mounted on the host is unmounted'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from prune" -l filter -d 'Remove only volumes for which this holds: label=, label!=, until=, name= …' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from prune" -s a -l all -d 'Remove volumes with names too'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from exists" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to this file instead of standard output' -r
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from mount" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from unmount" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand volume; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and not __fish_seen_subcommand_from create ls inspect rm exists" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and not __fish_seen_subcommand_from create ls inspect rm exists" -f -a "create" -d 'Make a secret of a file, of standard input or of a variable'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and not __fish_seen_subcommand_from create ls inspect rm exists" -f -a "ls" -d 'List secrets'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and not __fish_seen_subcommand_from create ls inspect rm exists" -f -a "inspect" -d 'Show all that is known of secrets, but what is secret'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and not __fish_seen_subcommand_from create ls inspect rm exists" -f -a "rm" -d 'Remove secrets; containers keep what they were created with'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and not __fish_seen_subcommand_from create ls inspect rm exists" -f -a "exists" -d 'Say by the exit code whether there is a secret of this name'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from create" -s d -l driver -d 'Keep it by this driver; there is file' -r
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from create" -l driver-opts -d 'Refused: the file driver has no options' -r
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from create" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from create" -l env -d 'Take the value of a variable of ours'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from create" -l replace -d 'Take the place of a secret of this name'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from ls" -s f -l filter -d 'List only secrets for which this holds: id= or name=' -r
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from ls" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from ls" -s n -l noheading -d 'Print the table without titles'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Print as json or by a template such as \'{{.Spec.Name}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from inspect" -l pretty -d 'Print for people'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from inspect" -l showsecret -d 'Show what is secret too'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from rm" -s a -l all -d 'Remove all secrets'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from rm" -s i -l ignore -d 'One that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand secret; and __fish_seen_subcommand_from exists" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "create" -d 'Make a pod: containers that share a network, a host name and shared memory'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "ps" -d 'List pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "inspect" -d 'Show all that is known of pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "start" -d 'Start all containers of pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "stop" -d 'Stop all containers of pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "restart" -d 'Stop and start all containers of pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "kill" -d 'Send a signal to all containers of pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "rm" -d 'Remove pods, with their containers'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "prune" -d 'Remove the pods of which nothing runs, with their containers'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and not __fish_seen_subcommand_from create ps inspect start stop restart kill rm prune exists" -f -a "exists" -d 'Say by the exit code whether there is a pod of this name'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s n -l name -d 'Name the pod' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l share -d 'Share these: ipc, net, uts, comma between; none for nothing' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s h -l hostname -d 'Name the host of all its containers' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s l -l label -d 'Add a label' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l label-file -d 'Read labels from a file, one a line' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l network -l net -d 'Use no network (none) or the host\'s (host)' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l pod-id-file -d 'Write the pod\'s id to a file' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l exit-policy -d 'Do this when the last container has ended: continue or stop' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s m -l memory -d 'Limit memory' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l memory-swap -d 'Limit memory and swap together; -1 is no limit' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l cpus -d 'Limit processors, such as 1.5' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s c -l cpu-shares -d 'Weigh processor time against others' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l cpuset-cpus -d 'Use these processors only' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l cpuset-mems -d 'Use memory of these nodes only' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l pids-limit -d 'Limit processes and threads' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l shm-size -d 'Make the shared /dev/shm this large' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l share-parent -d 'Put its containers into a cgroup of the pod\'s' -r -f -a "true\t''
false\t''"
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l infra -d 'Refused: no process is needed to keep a pod\'s namespaces' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l infra-name -d 'Refused with --infra' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l infra-image -d 'Refused with --infra' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l infra-command -d 'Refused with --infra' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l infra-conmon-pidfile -d 'Refused with --infra' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l userns -d 'Refused: a pod has no user namespace of its own yet' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l pid -d 'Refused: a PID namespace ends with its first process' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s p -l publish -d 'Refused: ports come with bridges' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -s v -l volume -d 'Refused: give volumes to its containers' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l volumes-from -d 'Refused: give volumes to its containers' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l replace -d 'Take the place of a pod of this name, whose containers are removed'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from create" -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -s f -l filter -d 'List only pods for which this holds: id=, name=, label=, status=, ctr-names=, ctr-ids= or ctr-status=' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l format -d 'Print as table, as json (one object a line) or by a template' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l sort -d 'Sort by this: created, id, name, status or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -s l -l latest -d 'List the newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l no-trunc -d 'Do not shorten ids'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -s q -l quiet -d 'Print ids only'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -s n -l noheading -d 'Print the table without titles'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l ctr-ids -d 'Add a column with the ids of the containers'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l ctr-names -d 'Add a column with the names of the containers'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l ctr-status -d 'Add a column with what the containers do'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -l ns -d 'Add a column with what is shared'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from ps" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from inspect" -s f -l format -d 'Print as json or by a template such as \'{{.State}}\'' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from inspect" -s l -l latest -d 'The newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from start" -l pod-id-file -d 'The pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from start" -s a -l all -d 'All pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from start" -s l -l latest -d 'The newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from stop" -l pod-id-file -d 'The pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from stop" -s t -l time -d 'Give each so many seconds before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from stop" -s a -l all -d 'All pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from stop" -s l -l latest -d 'The newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from stop" -s i -l ignore -d 'One that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from restart" -l pod-id-file -d 'The pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from restart" -s t -l time -d 'Give each so many seconds before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from restart" -s a -l all -d 'All pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from restart" -s l -l latest -d 'The newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from kill" -l pod-id-file -d 'The pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from kill" -s s -l signal -d 'The signal, by name or number' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from kill" -s a -l all -d 'All pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from kill" -s l -l latest -d 'The newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from kill" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -l pod-id-file -d 'The pod whose id is in this file' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -s t -l time -d 'With --force, give each container so many seconds before it is killed' -r
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -s a -l all -d 'All pods'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -s l -l latest -d 'The newest pod'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -s f -l force -d 'Kill what runs in them'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -s i -l ignore -d 'One that is not there is no error'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from prune" -s f -l force -d 'Do not ask'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c dhow -n "__fish_dhow_using_subcommand pod; and __fish_seen_subcommand_from exists" -s h -l help -d 'Print help'
