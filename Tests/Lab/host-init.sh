#!/bin/bash
# host-init.sh NAME DIRECTORY - process 1 of a lab host, in namespaces of its own that lab.sh has made.
# Gives the host its own /run, /etc/libvirt and so on, runs libvirtd, and reaps what that leaves behind.
set -u
name=$1 dir=$2

# Still the outer /proc, so this is what process 1 is called outside; by it lab.sh knows the host again.
read -r outside _ </proc/self/stat
echo "$outside $(readlink /proc/self/ns/pid)" >"$dir/init.new" && mv "$dir/init.new" "$dir/init"

hostname "$name"
mkdir -p /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /etc/libvirt
mount --bind "$dir/lib" /var/lib/libvirt
mount --bind "$dir/cache" /var/cache/libvirt
mount --bind "$dir/log" /var/log/libvirt
mount --bind "$dir/etc" /etc/libvirt
mount --bind "$dir/hosts" /etc/hosts
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/group" /etc/group
mount --bind "$dir/run" /run
mount -t proc proc /proc
# Shows this namespace's interfaces, and hides the machine's control groups.
mount -t sysfs sysfs /sys 2>/dev/null
ip link set lo up

# Whoever starts this host may be killed before its wires are there.
for _ in $(seq 600); do [ -e "$dir/wired" ] && break; sleep 0.05; done
[ -e "$dir/wired" ] || exit 1

daemon() {
  setsid libvirtd --listen --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid \
    </dev/null >>"$dir/log/libvirtd.out" 2>&1 &
}
trap daemon USR1
daemon
sleep infinity &
forever=$!
while :; do wait $forever; done
