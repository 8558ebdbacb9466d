#!/usr/bin/env bash
# A real Slurm of one node with two pretend GPUs, for tests: root, Debian's packages, no systemd, no accounting.
#
#   tests/pipeline/slurm/cluster.sh start        install what is missing, start, wait until the node is idle
#   tests/pipeline/slurm/cluster.sh kill-node    kill the node's daemon, and the jobs on it, as a power cut would
#   tests/pipeline/slurm/cluster.sh start-node   start the node's daemon again
#   tests/pipeline/slurm/cluster.sh stop         cancel all jobs, stop the daemons, take the configuration out of /etc/slurm
set -euo pipefail
ROOT=${SLURM_TEST_ROOT:-${TMPDIR:-/tmp}/slurm-test}
HOST=$(hostname -s)

main() {
  case "${1:-}" in
    start | stop) "$1" ;;
    kill-node) kill_node ;;
    start-node) start_node ;;
    *) sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" >&2; exit 2 ;;
  esac
}

start() {
  [ "$(id -u)" = 0 ] || fail "only root can start daemons that run others' jobs"
  install_packages
  if [ -e /etc/slurm/slurm.conf ] && ! is_ours; then fail "this machine has a Slurm of its own: /etc/slurm/slurm.conf"; fi
  if is_ours; then stop; fi
  rm -rf "$ROOT"
  mkdir -p "$ROOT"/{state,spool,log} /etc/slurm
  configuration > "$ROOT/slurm.conf"
  # A device file each: without one the node is invalid, and with a plain file CUDA_VISIBLE_DEVICES is not set.
  printf 'NodeName=%s Name=gpu File=%s\n' "$HOST" /dev/null "$HOST" /dev/zero > "$ROOT/gres.conf"
  ln -sf "$ROOT"/{slurm,gres}.conf /etc/slurm/ # where jobs look: the plugin takes SLURM_CONF out of their environment
  install -d -o munge -g munge -m 0755 /run/munge
  munge --no-input > /dev/null 2>&1 || { runuser -u munge -- munged && touch "$ROOT/munged-is-ours"; }
  slurmctld -c
  start_node
  sinfo --format '%n: %T, %c cores, %G'
}

stop() {
  is_ours || return 0
  timeout 10 scancel --user root 2> /dev/null || true
  quit "$(cat "$ROOT/slurmd.pid" 2> /dev/null || true)"
  quit "$(cat "$ROOT/slurmctld.pid" 2> /dev/null || true)"
  [ ! -e "$ROOT/munged-is-ours" ] || quit "$(cat /run/munge/munged.pid 2> /dev/null || true)"
  rm -f /etc/slurm/{slurm,gres}.conf
}

kill_node() {
  kill -KILL "$(cat "$ROOT/slurmd.pid")"
  # The daemon's helpers and the jobs die with a node; here they must be killed.
  local step
  for step in $(pgrep -x slurmstepd); do
    kill -KILL $(descendants "$step") "$step" 2> /dev/null || true
  done
}

start_node() {
  slurmd -N "$HOST"
  for _ in $(seq 150); do
    case "$(sinfo --noheader --format %T 2> /dev/null | sort -u)" in idle | mixed | allocated) return 0 ;; esac
    sleep 0.2
  done
  sinfo --list-reasons >&2 || true
  tail -n 20 "$ROOT"/log/*.log >&2
  fail "the node did not come up"
}

install_packages() {
  hash slurmctld slurmd sbatch munged 2> /dev/null && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge > /dev/null
}

configuration() {
  cat << CONF
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$ROOT/state
SlurmdSpoolDir=$ROOT/spool
SlurmctldPidFile=$ROOT/slurmctld.pid
SlurmdPidFile=$ROOT/slurmd.pid
SlurmctldLogFile=$ROOT/log/slurmctld.log
SlurmdLogFile=$ROOT/log/slurmd.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$ROOT/log/jobs.txt
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
MinJobAge=3600
SlurmdTimeout=10
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=8 RealMemory=32000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpus Nodes=ALL MaxTime=INFINITE State=UP
CONF
}

is_ours() { [ "$(readlink /etc/slurm/slurm.conf 2> /dev/null)" = "$ROOT/slurm.conf" ]; }

descendants() {
  local child
  for child in $(pgrep -P "$1"); do
    descendants "$child"
    echo "$child"
  done
}

quit() {
  { [ -n "$1" ] && kill "$1" 2> /dev/null; } || return 0
  for _ in $(seq 100); do
    [ -d "/proc/$1" ] || return 0
    sleep 0.1
  done
}

fail() {
  echo "cluster.sh: $1" >&2
  exit 1
}

main "$@"
