# countersign: reads facts about this host for its own check; changes nothing.
id=@SESSION@
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL PATH; set -f
say() { printf "%s\n" "$*"; }
me=$(id -un)
say countersign-check 1
say time $(date +%s)
set -- $SSH_CONNECTION
say from $1
# The topmost ancestor that is an sshd listens, and was told where its configuration and log are.
p=$$ args=
while [ "${p:-0}" -gt 0 ] && read -r name </proc/$p/comm; do
case $name in sshd*) args=$(tr "\000" " " </proc/$p/cmdline) ;; esac
p=$(sed -n "s/^PPid:[^0-9]*//p" /proc/$p/status)
done 2>/dev/null
conf= own=
where="user=$me,host=$1,addr=$1,laddr=$3,lport=$4"
set -- $args
while [ $# -gt 0 ]; do
case $1 in -f) conf=$2 ;; -E) own=$2 ;; esac
shift
done
all=$(sshd -T ${conf:+-f "$conf"} -C "$where" 2>/dev/null) || all=
of() { say "$all" | sed -n "s/^$1 //p"; }
level=$(of loglevel)
[ -z "$level" ] || say level $level
# Is the log-in of this session in a log?
seek() {
if [ -n "$own" ]; then set -- "$own"; else set -- /var/log/auth.log /var/log/secure /var/log/messages; fi
for file; do
[ -e "$file" ] || continue
if [ -r "$file" ]; then tail -n 5000 "$file" | judge "$file"; else say log unread "$file"; fi
done
[ -n "$own" ] || {
journalctl -q --no-pager -n 2000 _COMM=sshd + _COMM=sshd-session | judge "the journal"
logread | judge logread
} 2>/dev/null
}
judge() {
awk -v id="ID $id" -v place="$1" "
index(\$0, \"Accepted \") && index(\$0, id) { found = 1 }
/sshd|Accepted / { seen = 1 }
END { if (found) print \"log found \" place; else if (seen) print \"log missing \" place }"
}
logs=$(seek)
case $logs in *"log found"*) ;; *"log missing"*) sleep 1; logs=$(seek) ;; esac
[ -z "$logs" ] || say "$logs"
# What else logs in here?
if [ -n "$all" ]; then
say config read
keys=$(of authorizedkeysfile) run=$(of authorizedkeyscommand) file=$(of authorizedprincipalsfile)
[ "${run:-none}" = none ] || say keys-from $run
file=$(say "$file" | sed "s|%u|$me|g;s|%h|$HOME|g;s|%%|%|g")
case $file in "" | none) ;; /*) ;; *) file=$HOME/$file ;; esac
[ ! -r "$file" ] || sed -n "s/^[ 	]*\([^#]*\).*/principal \1/p" "$file" | head -n 50
else
keys=".ssh/authorized_keys .ssh/authorized_keys2"
fi
look() {
if [ -f "$3" ] && [ -r "$3" ]; then
n=$(grep -c "^[ 	]*[^# 	]" "$3")
[ "$n" -eq 0 ] || say keys $n "$1" "$3"
elif [ -e "$3" ] || closed "${3%/*}"; then say hidden "$1" "$3"
fi
}
# A folder that cannot be searched, or one above it.
closed() {
[ -n "$1" ] && if [ -d "$1" ]; then [ ! -x "$1" ]; else closed "${1%/*}"; fi
}
[ "$keys" = none ] || { say "$me:::::$HOME:"; cat /etc/passwd; } | while IFS=: read -r user _ _ _ _ home _; do
for file in $keys; do
case $file in *%*) file=$(say "$file" | sed "s|%u|$user|g;s|%h|$home|g;s|%%|%|g") ;; esac
case $file in /*) ;; *) file=${home%/}/$file ;; esac
look "$user" "$home" "$file"
done
done
if command -v sudo >/dev/null; then say sudo $(sudo -V 2>/dev/null | head -n 1); else say no-sudo; fi
say end
