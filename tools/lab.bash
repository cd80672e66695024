# SPDX-License-Identifier: BSD-2-Clause
# What the shell of the laboratory (tools/lab) begins with. $A and $B are the addresses of its two hypervisors.
unset BASH_ENV # a script that the shell runs is nobody's laboratory

# A setting of moves, at both ends.
lab-set() {
    if [ $# != 2 ]; then
        echo 'usage: lab-set NAME VALUE    (names: godwit query-migrate-parameters)' >&2
        return 2
    fi
    local host
    for host in "$A" "$B"; do
        godwit -H "$host" migrate-set-parameters "$1" "$2" >/dev/null || return
        echo "$host: $1 = $2"
    done
}

# What to type: each line that is indented is a command, and what it does. In Bochs there is no guest linux.
lab-help() {
    local absent=nothing
    [ "$EMU" = bochs ] && absent=linux
    grep -v " $absent" <<'END'
godwit asks a ($GODWIT_HOST), and godwit -H $B asks b. Files go to build/lab. Try

    godwit vms                                      # the VMs of a
    godwit console linux                            # a shell in the guest; Ctrl-] leaves
    godwit calc-dirty-rate writer 500               # how many pages does it write? Look for 500 ms
    busybox ping -c 3 10.9.0.3                      # the guest linux, seen by a client
    godwit query-dirty-rate writer                  # what came out
    godwit dirty-trace writer --every 50 --for 2 -o build/lab/writer.trace
    tools/dirty-trace build/lab/writer.trace        # what is in it
    replay build/lab/writer.trace --mbit 100 --used 2000    # a move on this trace, computed
    lab-set downtime-limit 50                       # a setting of moves, at both ends, in ms
    godwit migrate writer $B                        # move it to b
    godwit query-migrate writer                     # all about that move
    godwit -H $B migrate writer $A                  # and back
    godwit suspend linux                            # it sleeps (ACPI S3): its sleep button is pressed
    godwit resume linux                             # it wakes
    godwit trace linux --count 20                   # its last exits
    godwit log 20                                   # the log of a
    godwit -H $B log 20                             # the log of b
    godwit help                                     # what else there is
    lab-help                                        # this text

exit or Ctrl-D ends the shell, and with it the laboratory.
END
}

lab-help
if [ -n "$PS1" ]; then
    PS1='lab$ '
    eval "$(godwit completion bash)"
fi
