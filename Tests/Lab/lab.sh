#!/bin/bash
# lab.sh - two libvirt hosts, a and b, on this machine; see README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/lab.sh
assembly=$here/../../Sources/QEMURig/Guest/dirtier.asm
PATH=$PATH:/usr/sbin:/sbin
base=${TMPDIR:-/tmp}/drover-lab-$UID
state=${DROVER_LAB_STATE:-$base}

# Ranges for documentation (RFC 5737); both ends of both wires lie in namespaces made here.
ctl_a=192.0.2.1 ctl_b=192.0.2.2 mig_a=198.51.100.1 mig_b=198.51.100.2
uuid_a=11111111-aaaa-4aaa-8aaa-00000000000a uuid_b=22222222-bbbb-4bbb-8bbb-00000000000b

usage() {
  cat >&2 <<'U'
usage: lab.sh COMMAND...
  up [--keepalive INTERVAL/COUNT] [--owner PID]     run [--keepalive INTERVAL/COUNT] CMD...
  down                                              status
  uri HOST | pid HOST | virsh HOST ARG... | exec HOST CMD...
  guest NAME [--memory MIB] [--rate 0|a..p] [--set A..L] [--disk MIB] [--uuid UUID] [--persistent] [--on HOST]
  rate NAME BYTE | beat NAME [HOST] | write NAME MIB [OFFSET_MIB] | destroy NAME
  migrate NAME [WIRE [virsh migrate option]...] | migrate-by-client, the same without --p2p
  abort NAME | speed NAME MIB
  cut [WIRE] | heal [WIRE] | shape WIRE RATE|off
  hang NAME [HOST] | resume NAME [HOST] | kill-qemu NAME [HOST]
  kill-daemon HOST | start-daemon HOST | hang-daemon HOST | resume-daemon HOST
HOST is a or b, WIRE is ctl or mig.
U
  exit 2
}
die() { echo "lab: $*" >&2; exit 1; }
known_host() { [[ ${1:-} =~ ^[ab]$ ]] || die "a host is a or b, not '${1:-}'"; }
known_name() { [[ ${1:-} =~ ^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$ ]] || die "not a name for a guest: '${1:-}'"; }
wires() {
  case ${1:-} in '') echo ctl mig ;; ctl | mig) echo "$1" ;; *) die "a wire is ctl or mig, not '$1'" ;; esac
}
until_true() { # SECONDS CMD...
  local rest=$(($1 * 20)); shift
  until "$@"; do [ $((rest -= 1)) -gt 0 ] || return 1; sleep 0.05; done
}

# --- Processes: each is known by its pid and by something that a later owner of that pid would not have.

init_of() { # the outer pid of a host's process 1, if that still is its namespace
  local pid namespace
  { read -r pid namespace <"$state/$1/init"; } 2>/dev/null || return 1
  [ "$(readlink "/proc/$pid/ns/pid")" = "$namespace" ] 2>/dev/null || return 1
  echo "$pid"
}
need_init() { known_host "${1:-}"; init_of "$1" || die "host $1 is down"; }
inside() { local pid; pid=$(need_init "$1"); shift; nsenter -t "$pid" -m -u -n -p -- "$@"; }
fingerprint() { # PID: the pid and the moment it was started
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- "$1" ${stat##*) }
  echo "$1 ${21}"
}
still_is() { # "PID MOMENT"
  [ -n "$1" ] && [ "$(fingerprint "${1%% *}")" = "$1" ]
}
gone() { [ ! -e "/proc/$1" ]; }

# --- Up and down

lock() { # a directory that was removed meanwhile is not the one to hold
  while :; do
    mkdir -p "$state"
    [ -O "$state" ] && [ ! -L "$state" ] || die "$state belongs to somebody else; set DROVER_LAB_STATE"
    exec 9<"$state"
    flock 9
    # The 0 is not idle: in a trap, a plain return is that of the last command before it.
    [ ! "$state" -ef /proc/self/fd/9 ] || return 0
  done
}

check_needs() {
  [ "$(id -u)" = 0 ] || die "namespaces need root"
  local missing=() word
  for word in libvirtd:libvirt-daemon virsh:libvirt-clients qemu-system-x86_64:qemu-system-x86 as:binutils \
    ip:iproute2 iptables:iptables socat:socat unshare:util-linux; do
    command -v "${word%:*}" >/dev/null || missing+=("${word#*:}")
  done
  [ ${#missing[@]} = 0 ] || die "not installed: ${missing[*]}; install them with: sudo apt-get install ${missing[*]}"
  # The longest path used: PATH/a/lib/ and a guest's name.
  [ ${#state} -le 40 ] || die "$state is too long for sockets in it; set DROVER_LAB_STATE to a shorter path"
  [ -e "$state/drover-lab" ] || [ -z "$(ls -A "$state" 2>/dev/null)" ] || die "$state holds something else"
}

assemble() {
  as --32 -o "$state/guest.o" "$assembly"
  ld -m elf_i386 -Ttext 0x7c00 --oformat binary -e _start -o "$state/guest.bin" "$state/guest.o"
}

start_host() { # HOST INTERVAL COUNT
  local host=$1 dir=$state/$1 uuid=uuid_$1
  local keepalive="keepalive_interval = $2
keepalive_count = $3"
  mkdir -p "$dir"/{run,lib/images,cache,log,etc/qemu}
  printf '%s\n' '127.0.0.1 localhost' "$ctl_a lab-a" "$ctl_b lab-b" "$mig_a lab-a-mig" "$mig_b lab-b-mig" \
    >"$dir/hosts"
  # libvirtd insists on this user.
  { grep -v '^libvirt-qemu:' /etc/passwd; echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin'; } \
    >"$dir/passwd"
  { grep -v '^libvirt-qemu:' /etc/group; echo 'libvirt-qemu:x:64055:'; } >"$dir/group"
  # Its keepalive is towards the daemon's own clients.
  cat >"$dir/etc/libvirtd.conf" <<C
host_uuid = "${!uuid}"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0777"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
log_filters = "1:qemu.qemu_migration 1:rpc.rpckeepalive 3:remote 4:event 3:util 3:object"
$keepalive
C
  # And this one is towards the other host while a guest migrates.
  cat >"$dir/etc/qemu.conf" <<C
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
max_core = 0
migration_address = "0.0.0.0"
$keepalive
C
  setsid unshare --mount --uts --net --pid --fork --kill-child \
    bash "$here/host-init.sh" "lab-$host" "$dir" </dev/null >"$dir/log/init.out" 2>&1 9<&- &
  disown
  until_true 10 init_of "$host" >/dev/null || die "host $host did not start: $(cat "$dir/log/init.out")"
}

wire() { # NAME ADDRESS_A ADDRESS_B
  local a b; a=$(need_init a) b=$(need_init b)
  nsenter -t "$a" -n ip link add "$1" type veth peer name "$1" netns "/proc/$b/ns/net"
  nsenter -t "$a" -n sh -c "ip addr add $2/24 dev $1 && ip link set $1 up"
  nsenter -t "$b" -n sh -c "ip addr add $3/24 dev $1 && ip link set $1 up"
}

answers() { virsh -c "$(cmd_uri "$1")" uri >/dev/null 2>&1; }
wait_for_daemon() {
  until_true 20 answers "$1" || die "libvirtd of $1 does not answer: $(tail -n 3 "$state/$1/log/libvirtd.out")"
}

# Takes the options that up and run share, and leaves the number of words they were in `taken`.
options() {
  interval=5 count=5 owner= taken=0
  while [ $# -gt 0 ]; do
    case $1 in
      --keepalive) [[ ${2:-} =~ ^(-1|[0-9]+)/([0-9]+)$ ]] || usage
        interval=${BASH_REMATCH[1]} count=${BASH_REMATCH[2]} ;;
      --owner) owner=$(fingerprint "${2:-}") || die "no process '${2:-}' to belong to" ;;
      *) break ;;
    esac
    shift 2
    taken=$((taken + 2))
  done
}

cmd_up() {
  options "$@"
  [ $# = "$taken" ] || usage
  check_needs
  sweep
  lock
  if init_of a >/dev/null && init_of b >/dev/null && [ -e "$state/up" ]; then
    echo "lab: already up in $state"
    return
  fi
  bring_down
  lock
  : >"$state/drover-lab"
  if [ -n "$owner" ]; then
    echo "$owner" >"$state/owner"
    setsid bash "$self" keep </dev/null >"$state/keeper.out" 2>&1 9<&- &
    disown
  fi
  assemble
  start_host a "$interval" "$count"
  start_host b "$interval" "$count"
  wire ctl $ctl_a $ctl_b
  wire mig $mig_a $mig_b
  : >"$state/a/wired"
  : >"$state/b/wired"
  wait_for_daemon a
  wait_for_daemon b
  : >"$state/up"
  echo "lab: up in $state"
}

# Ends the lab when its owner has ended, by whatever means.
cmd_keep() {
  local owner
  read -r owner <"$state/owner"
  fingerprint $$ >"$state/keeper"
  while still_is "$owner"; do sleep 0.5; done
  rm -f "$state/keeper"
  cmd_down
}

# Labs of owners that were killed together with the lab's keeper.
sweep() {
  local dir owner
  for dir in "$base"-*/; do
    dir=${dir%/}
    [ -e "$dir/drover-lab" ] && [ -O "$dir" ] && { read -r owner <"$dir/owner"; } 2>/dev/null || continue
    still_is "$owner" || DROVER_LAB_STATE=$dir bash "$self" down || true
  done
}

bring_down() {
  local host pid keeper
  if { read -r keeper <"$state/keeper"; } 2>/dev/null && still_is "$keeper"; then
    kill -KILL -- "-${keeper% *}" 2>/dev/null || true
  fi
  # The kernel ends the rest of a pid namespace with its process 1.
  for host in a b; do
    if pid=$(init_of $host); then
      kill -KILL "$pid" 2>/dev/null || true
      until_true 20 gone "$pid" || die "process $pid of host $host does not end"
    fi
  done
  if [ -e "$state/drover-lab" ]; then
    rm -rf "${state:?}"/{a,b,up,owner,keeper,keeper.out,guest.o,guest.bin,drover-lab}
  fi
  rmdir "$state" 2>/dev/null || true
}

cmd_down() {
  [ -e "$state" ] || return 0
  lock
  bring_down
}

cmd_run() {
  options "$@"
  shift "$taken"
  [ $# -gt 0 ] || usage
  local child= code=0 signal=
  ! { init_of a || init_of b; } >/dev/null || die "already up in $state; set DROVER_LAB_STATE for another lab"
  trap 'cmd_down' EXIT
  # The lab goes down when the command has ended. An interrupt comes from the terminal, which tells both of us.
  trap 'code=130' INT
  for signal in TERM HUP; do
    trap "code=\$((128 + \$(kill -l $signal))); [ -z \"\$child\" ] || kill -$signal \$child 2>/dev/null || true" $signal
  done
  cmd_up --keepalive "$interval/$count" --owner $$ >&2
  exec 9<&-
  [ "$code" = 0 ] || exit "$code"
  DROVER_LAB=1 DROVER_LAB_STATE=$state DROVER_LAB_SCRIPT=$self \
    DROVER_LAB_URI_A=$(cmd_uri a) DROVER_LAB_URI_B=$(cmd_uri b) \
    DROVER_LAB_PID_A=$(init_of a) DROVER_LAB_PID_B=$(init_of b) \
    env --default-signal=INT,QUIT setpriv --pdeathsig KILL -- "$@" <&0 &
  child=$!
  # A signal interrupts the wait.
  while kill -0 $child 2>/dev/null; do
    local ended=0
    wait $child || ended=$?
    [ "$code" != 0 ] || [ "$ended" = 0 ] || kill -0 $child 2>/dev/null || code=$ended
  done
  exit "$code"
}

cmd_status() {
  local host pid
  for host in a b; do
    if pid=$(init_of $host); then
      echo "host $host: process $pid, $(cmd_uri $host), log in $state/$host/log"
      virsh -c "$(cmd_uri $host)" list --all || true
    else
      echo "host $host: down"
    fi
  done
}
cmd_uri() { known_host "${1:-}"; echo "qemu+unix:///system?socket=$state/$1/run/libvirt/libvirt-sock"; }
cmd_pid() { need_init "${1:-}"; }
cmd_virsh() { local uri; uri=$(cmd_uri "${1:-}"); shift; exec virsh -c "$uri" "$@"; }
cmd_exec() { inside "$@"; }
on() { local host=$1; shift; virsh -q -c "$(cmd_uri "$host")" "$@"; }

# --- Guests

number() { [[ $2 =~ ^[0-9]+$ ]] || die "$1 is a number, not '$2'"; }
ordinal() { printf %d "'$1"; }
le32() { printf '\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }

floppy() { # FILE RATE SET: the guest with its start values, see dirtier.asm
  local pages=0
  [[ $2 =~ ^[0a-p]$ ]] || die "a rate is 0 or one of a..p, not '$2'"
  [[ $3 =~ ^[A-L]$ ]] || die "a working set is one of A..L, not '$3'"
  [ "$2" = 0 ] || pages=$((1 << ($(ordinal "$2") - $(ordinal a))))
  {
    head -c $((0x1f0)) "$state/guest.bin"
    printf "$(le32 $pages)$(le32 $((256 << ($(ordinal "$3") - $(ordinal A)))))$(le32 "$(ordinal "$2")")"
    tail -c +$((0x1fd)) "$state/guest.bin"
  } >"$1"
  truncate -s 1474560 "$1"
}

domain_xml() { # NAME MEMORY FLOPPY UUID DISK
  sed -e "s/@NAME@/$1/g; s/@MEMORY@/$2/; s/@FLOPPY@/$3/" \
    -e "$([ -n "$4" ] && echo "s/@UUID@/$4/" || echo '/@UUID@/d')" \
    -e "$([ -n "$5" ] && echo 's/<!-- @DISK@ -->//' || echo '/@DISK@/d')" "$here/guest.xml.in"
}

cmd_guest() {
  local name=${1:-} memory=64 rate=0 set=E disk= uuid= persistent= host=a x
  known_name "$name"
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --persistent) persistent=1; shift; continue ;;
      --memory) memory=${2:-}; number memory "$memory" ;;
      --rate) rate=${2:-} ;;
      --set) set=${2:-} ;;
      --disk) disk=${2:-}; number disk "$disk" ;;
      --uuid) uuid=${2:-} ;;
      --on) host=${2:-} ;;
      *) usage ;;
    esac
    shift 2
  done
  need_init a >/dev/null; need_init b >/dev/null; known_host "$host"
  for x in a b; do
    floppy "$state/$x/lib/images/$name.img" "$rate" "$set"
    # On the other host too: what is copied there needs a file of the same size.
    if [ -n "$disk" ]; then
      rm -f "$state/$x/lib/images/$name.disk"
      truncate -s "${disk}M" "$state/$x/lib/images/$name.disk"
      dd if="$state/$x/lib/images/$name.disk" of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null ||
        die "the file system of $state has no direct input and output, which a copied disk needs; set DROVER_LAB_STATE"
    fi
  done
  domain_xml "$name" "$memory" "$name.img" "$uuid" "$disk" >"$state/$host/lib/images/$name.xml"
  if [ -n "$persistent" ]; then
    on "$host" define "$state/$host/lib/images/$name.xml"
    on "$host" start "$name"
  else
    on "$host" create "$state/$host/lib/images/$name.xml"
  fi
}

where() { # the host the guest runs on; its state is no question to QEMU, which may hang
  local host
  for host in b a; do
    [ "$(on $host domstate "$1" 2>/dev/null)" != running ] || { echo $host; return; }
  done
  echo a
}
here_or() { # NAME [HOST]
  known_name "${1:-}"
  if [ -n "${2:-}" ]; then known_host "$2"; echo "$2"; else where "$1"; fi
}

serial() { # NAME BYTE [HOST]: sends the byte unless it is empty, and waits for a beat, with a byte for that very one
  local name=$1 byte=$2 host answer deadline=$((SECONDS + 10)) line
  host=$(here_or "$name" "${3:-}")
  coproc line { exec socat UNIX-CONNECT:"$state/$host/lib/$name.com1" STDIO 2>/dev/null; }
  local pid=$line_PID in=${line[0]} out=${line[1]} found=1
  [ -z "$byte" ] || printf %s "$byte" >&"$out"
  while [ $SECONDS -lt $deadline ] && read -r -t 5 -N 1 -u "$in" answer; do
    [ -z "$byte" ] || [ "$answer" = "${byte: -1}" ] || continue
    found=0
    break
  done
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  [ $found = 0 ] || die "no heartbeat of $name on $host"
  echo "$answer"
}
cmd_rate() { [[ ${2:-} =~ ^[0a-pA-L]$ ]] || usage; serial "$1" "$2" >/dev/null; }
cmd_beat() { serial "${1:-}" '' "${2:-}"; }

cmd_write() { # through the device, so that a copy under way sees it
  local name=${1:-} size=${2:-} offset=${3:-0} host disk answer
  number size "$size"
  number offset "$offset"
  host=$(here_or "$name")
  disk=$state/$host/lib/images/$name.disk
  [ -e "$disk" ] || die "$name has no disk"
  # QEMU tells a failure only to its log.
  [ $(((offset + size) << 20)) -le "$(stat -c %s "$disk")" ] || die "the disk of $name is smaller than that"
  answer=$(on "$host" qemu-monitor-command "$name" --hmp \
    "qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend \"write -P $((RANDOM % 255 + 1)) ${offset}M ${size}M\"")
  [[ $answer != *[![:space:]]* ]] || die "writing to the disk of $name: $answer"
}

cmd_destroy() {
  known_name "${1:-}"
  local host
  for host in a b; do
    on $host destroy "$1" >/dev/null 2>&1 || true
    on $host undefine "$1" >/dev/null 2>&1 || true
  done
}

# --- Migrations

migration() { # CLIENT NAME [WIRE [OPTION]...]
  local client=$1 name=${2:-} wire=${3:-ctl} from to
  known_name "$name"
  wires "$wire" >/dev/null
  shift $(($# < 3 ? $# : 3))
  from=$(where "$name")
  to=$([ "$from" = a ] && echo b || echo a)
  local control=ctl_$to data=${wire}_$to
  # A tunnelled migration has no address of its own.
  case " $* " in *' --tunnelled '*) ;; *) set -- --migrateuri "tcp://${!data}" "$@" ;; esac
  if [ "$client" = p2p ]; then
    exec virsh -q -c "$(cmd_uri "$from")" migrate --live --p2p "$name" "qemu+tcp://${!control}/system" "$@"
  else
    inside "$from" virsh -q -c qemu:///system migrate --live "$name" "qemu+tcp://${!control}/system" "$@"
  fi
}
cmd_migrate() { migration p2p "$@"; }
cmd_migrate_by_client() { migration client "$@"; }
cmd_abort() { on "$(here_or "${1:-}")" domjobabort "$1"; }
cmd_speed() { number speed "${2:-}"; on "$(here_or "$1")" migrate-setspeed "$1" "$2"; }

# --- Trouble

# A cut drops what arrives, at both ends, as a dead switch does. Dropped on the way out instead, the packets
# would be missed by the local TCP, which then counts no retransmissions and behaves as in no real outage.
filter() { nsenter -t "$1" -n iptables -w "$2" INPUT -i "$3" -j DROP; }
cmd_cut() {
  local wire which pid pids
  which=$(wires "${1:-}")
  pids="$(need_init a) $(need_init b)"
  for wire in $which; do
    for pid in $pids; do filter "$pid" -C "$wire" 2>/dev/null || filter "$pid" -I "$wire"; done
  done
}
cmd_heal() {
  local wire which pid pids
  which=$(wires "${1:-}")
  pids="$(need_init a) $(need_init b)"
  for wire in $which; do
    for pid in $pids; do while filter "$pid" -D "$wire" 2>/dev/null; do :; done; done
  done
}
cmd_shape() { # a token bucket at both ends, such as 200mbit
  [ $# = 2 ] && [ -n "$1" ] || usage
  local pid pids
  wires "$1" >/dev/null
  pids="$(need_init a) $(need_init b)"
  for pid in $pids; do
    nsenter -t "$pid" -n tc qdisc del dev "$1" root 2>/dev/null || true
    [ "$2" = off ] || nsenter -t "$pid" -n tc qdisc add dev "$1" root tbf rate "$2" burst 256kb latency 50ms
  done
}

# A pid inside a host, checked against the command line there, since libvirtd leaves the file of a dead QEMU.
signal_inside() { # HOST PID_FILE WORD SIGNAL
  inside "$1" bash -c '
    pid=$(cat "$1") && tr "\0" " " <"/proc/$pid/cmdline" | grep -qF -- "$2" && kill -s "$3" "$pid" || exit 1
    [ "$3" != KILL ] || for _ in $(seq 200); do [ -e "/proc/$pid" ] || break; sleep 0.02; done' \
    lab "$2" "$3" "$4" 2>/dev/null
}
signal_guest() { # SIGNAL NAME [HOST]
  local host; host=$(here_or "${2:-}" "${3:-}")
  signal_inside "$host" "/run/libvirt/qemu/$2.pid" "guest=$2," "$1" || die "$2 has no QEMU on $host"
}
signal_daemon() { # SIGNAL HOST
  signal_inside "${2:-}" /run/libvirtd.pid libvirtd "$1" || die "no libvirtd runs on ${2:-}"
}
cmd_hang() { signal_guest STOP "$@"; }
cmd_resume() { signal_guest CONT "$@"; }
cmd_kill_qemu() { signal_guest KILL "$@"; }
cmd_kill_daemon() { signal_daemon KILL "$@"; }
cmd_hang_daemon() { signal_daemon STOP "$@"; }
cmd_resume_daemon() { signal_daemon CONT "$@"; }
cmd_start_daemon() {
  local pid; pid=$(need_init "${1:-}")
  if ! signal_inside "$1" /run/libvirtd.pid libvirtd 0; then kill -USR1 "$pid"; fi
  wait_for_daemon "$1"
}

command=${1:-}
case $command in
  up | down | run | keep | status | uri | pid | virsh | exec | guest | rate | beat | write | destroy | migrate | \
    migrate-by-client | abort | speed | cut | heal | shape | hang | resume | kill-qemu | kill-daemon | start-daemon | \
    hang-daemon | resume-daemon) ;;
  *) usage ;;
esac
shift
"cmd_${command//-/_}" "$@"
