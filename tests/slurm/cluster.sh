#!/usr/bin/env bash
# A Slurm of one machine with two fake GPUs, for `pytest -m slurm`. Needs root on Debian or Ubuntu.
#
#   tests/slurm/cluster.sh start    install slurmctld, slurmd and munge where absent, and start them
#   tests/slurm/cluster.sh stop     end what `start` started
#
# Nothing is written where a Slurm is configured already.
set -euo pipefail

CONF=/etc/slurm/slurm.conf
STATE=/var/lib/xtsupport-slurm
MARK="# written by xtsupport's tests/slurm/cluster.sh"

install() {
  command -v slurmctld slurmd munged >/dev/null && return
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends slurmctld slurmd slurm-client munge
}

configure() {
  mkdir -p "$STATE"/{ctld,d} "$(dirname "$CONF")"
  for each in 0 1; do # any two devices do as GPUs: here /dev/null, twice
    [ -c "$STATE/gpu$each" ] || { rm -f "$STATE/gpu$each"; mknod "$STATE/gpu$each" c 1 3; }
  done
  cat >"$CONF" <<END
$MARK
ClusterName=xtsupport
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/d
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=43200
KillWait=5
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  echo "Name=gpu File=$STATE/gpu[0-1]" >"$(dirname "$CONF")/gres.conf"
  echo "CgroupAutomount=no" >"$(dirname "$CONF")/cgroup.conf"
}

start() {
  if [ -e "$CONF" ] && ! grep -qF "$MARK" "$CONF"; then
    echo "$CONF is there already: this machine has a Slurm of its own; using it as it is" >&2
    return
  fi
  install
  configure
  [ -s /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none; }
  chown -R munge: /etc/munge && chmod 400 /etc/munge/munge.key
  mkdir -p /run/munge /var/log/munge /var/lib/munge
  chown munge: /run/munge /var/log/munge /var/lib/munge
  munge -n >/dev/null 2>&1 || runuser -u munge -- munged
  scontrol ping >/dev/null 2>&1 || slurmctld -c
  slurmd
  for _ in $(seq 60); do
    [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && { sinfo -o '%n %t %c cores %G'; return; }
    sleep 0.5
  done
  echo "Slurm did not come up; see $STATE/*.log" >&2
  exit 1
}

stop() {
  for each in slurmd slurmctld; do
    [ -s "$STATE/$each.pid" ] && kill "$(cat "$STATE/$each.pid")" 2>/dev/null || true
  done
  [ -s /run/munge/munged.pid ] && kill "$(cat /run/munge/munged.pid)" 2>/dev/null || true
  if grep -qsF "$MARK" "$CONF"; then rm -f "$CONF" "$(dirname "$CONF")"/{gres,cgroup}.conf; fi
}

case "${1:-}" in
  start | stop) "$1" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
