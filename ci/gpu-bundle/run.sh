#!/usr/bin/env bash
# Checks and measures relfisher on this machine's GPU with programs that were built elsewhere.
#
# usage: run.sh [--emulated] [STAGE...]
#
# Stages, in their order: machine, parity, engines, baselines, bench, criterion, memcheck, racecheck,
# initcheck, synccheck; all by default. Results go to $OUT, or ./out. Each stage has a limit of its own, and
# all of them together stay below ten minutes. The exit status is 0 if parity, engines, the benches' answers
# and the checks are right. With --emulated the same programs run on the emulator, without a GPU: that proves
# the bundle, and times nothing.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${OUT:-./out}
emulated=0
stages=()
for argument in "$@"; do
    case $argument in
    --emulated) emulated=1 ;;
    machine | parity | engines | baselines | bench | criterion) stages+=("$argument") ;;
    memcheck | racecheck | initcheck | synccheck) stages+=("$argument") ;;
    *)
        echo "run.sh: no stage named '$argument'" >&2
        exit 2
        ;;
    esac
done
if [ ${#stages[@]} -eq 0 ]; then
    stages=(machine parity engines baselines bench criterion memcheck racecheck initcheck synccheck)
fi
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)

# The programs, and what the driver compiles, which is kept for the next stage.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
programs=$work/programs
CUDA_CACHE_PATH=$work/cache
mkdir "$programs" "$CUDA_CACHE_PATH" || exit 2
if ! tar -xzf "$here/programs.tar.gz" -C "$programs"; then
    echo "run.sh: $here/programs.tar.gz cannot be unpacked: copy the whole folder again" >&2
    exit 2
fi
export CUDA_CACHE_PATH CUDA_CACHE_MAXSIZE=1073741824 CUDA_CACHE_DISABLE=0
export REQUIRE_GPU=1 RELFISHER_GPU=cuda
device=(--device cuda)
if [ $emulated -eq 1 ]; then
    export RELFISHER_GPU=emulated
    device=(--device emulated --quick --seconds 0.02)
fi

table=()
failed=0

# stage NAME LIMIT LOG COMMAND...: runs the command for at most LIMIT seconds; its status is the stage's.
stage() {
    local name=$1 limit=$2 log=$3 before=$SECONDS status
    shift 3
    printf '\n##### %s (at most %d s)\n' "$name" "$limit"
    printf '##### %s\n' "$name" >>"$out/$log"
    timeout --kill-after=5 "$limit" "$@" 2>&1 | tee -a "$out/$log"
    status=${PIPESTATUS[0]}
    local verdict=pass
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        verdict="out of time"
    elif [ "$status" -ne 0 ]; then
        verdict="FAIL ($status)"
    fi
    table+=("$(printf '%-10s %-12s %4d s' "$name" "$verdict" $((SECONDS - before)))")
    return "$status"
}

skip() {
    table+=("$(printf '%-10s %-12s %s' "$1" skipped "$2")")
}

wanted() {
    local name
    for name in "${stages[@]}"; do
        [ "$name" = "$1" ] && return 0
    done
    return 1
}

# What an earlier run left of the stages of this one.
for name in "${stages[@]}"; do
    rm -f "$out/$name.log" "$out/$name.json"
done
rm -f "$out/summary.txt"

driver=none
smi=$([ $emulated -eq 0 ] && command -v nvidia-smi)
if [ -n "$smi" ]; then
    driver=$(timeout 20 "$smi" --query-gpu=driver_version --format=csv,noheader | head -n 1)
fi
if wanted machine; then
    if [ -n "$smi" ]; then
        stage machine 10 machine.log "$smi"
    fi
    stage info 10 machine.log "$programs/relfisher" info || failed=1
fi

if wanted parity; then
    stage parity 100 parity.log "$programs/parity" || failed=1
fi

# Contexts, streams and memory of other owners, each in a process of its own.
if wanted engines; then
    if [ $emulated -eq 1 ]; then
        skip engines "on the emulator, which has no foreign contexts"
    else
        for owner in cust rustacuda; do
            RELFISHER_SCENE="beside $owner" stage "$owner" 15 engines.log \
                "$programs/engines" --exact scene --nocapture || failed=1
        done
    fi
fi

if wanted baselines; then
    baselines=${BASELINES:-$here/gpu_baselines.py}
    if [ $emulated -eq 1 ]; then
        skip baselines "on the emulator"
    elif [ ! -f "$baselines" ]; then
        skip baselines "no gpu_baselines.py beside run.sh, and BASELINES is not set"
    elif ! python3 -c 'import torch' 2>/dev/null; then
        skip baselines "no python3 with torch"
    else
        stage baselines 70 baselines.log python3 "$baselines" --seconds 0.2 --out "$out/baselines.json"
    fi
fi

if wanted bench; then
    arguments=(gpu "${device[@]}" --out "$out/bench.json" --note "driver=$driver")
    arguments+=(--note "date=$(date -u +%Y-%m-%dT%H:%M:%SZ)" --note "commit=$(cat "$here/commit")")
    if [ -s "$out/baselines.json" ]; then
        arguments+=(--baselines "$out/baselines.json")
    fi
    stage bench 60 bench.log "$programs/relfisher-bench" "${arguments[@]}" || failed=1
fi

# Launches by criterion, whose measurement is the device's events.
if wanted criterion; then
    CRITERION_HOME=$work/criterion stage criterion 30 criterion.log "$programs/criterion" --bench || failed=1
fi

# What one test leaves behind under a tool: its log, and a line of verdict on the output.
check_one() {
    local tool=$1 test=$2 log=$3/${2//:/_}.log
    compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 9 \
        "$programs/parity" --exact "$test" >"$log" 2>&1
    local status=$?
    if grep -Eq '(ERROR|RACECHECK) SUMMARY: [1-9]' "$log"; then
        echo "$test: FOUND ($log)"
        cat "$log"
    elif [ $status -eq 0 ] && grep -Eq '(ERROR|RACECHECK) SUMMARY: 0' "$log"; then
        echo "$test: clean"
    else
        echo "$test: FAILED with status $status"
        tail -n 5 "$log"
    fi
}

# Every test under a tool, a few of them at once: the tools wait for one thread of the host more than for
# the device.
check_all() {
    local logs
    logs=$(mktemp -d -p "$work")
    "$programs/parity" --list | sed -n 's/: test$//p' |
        xargs -P "$(nproc)" -I{} bash -c 'check_one "$@"' check "$1" {} "$logs"
}
export -f check_one check_all
export programs work

# The checks are for small shapes: they slow kernels down, and know nothing that large shapes have more of.
# A tool that does not support the device is no failure; an error that it finds is one.
for tool in memcheck racecheck initcheck synccheck; do
    wanted $tool || continue
    if [ $emulated -eq 1 ]; then
        skip $tool "on the emulator, which has checks of its own"
        continue
    fi
    if ! command -v compute-sanitizer >/dev/null; then
        skip $tool "no compute-sanitizer"
        continue
    fi
    # Looking for races takes three times as long as the others.
    limit=60
    [ $tool = racecheck ] && limit=130
    RELFISHER_GPU_SIZES=small stage $tool $limit $tool.log bash -c "check_all $tool"
    if grep -q 'Device not supported' "$out/$tool.log"; then
        skip $tool "the tool does not support this device"
        continue
    fi
    all=$("$programs/parity" --list | grep -c ': test$')
    clean=$(grep -c ': clean$' "$out/$tool.log")
    bad=$(grep -Ec ': (FOUND|FAILED)' "$out/$tool.log")
    late=$((all - clean - bad))
    table+=("$(printf '%-10s %d of %d tests clean, %d not, %d out of time' "" "$clean" "$all" "$bad" $late)")
    [ "$bad" -eq 0 ] && [ "$all" -gt 0 ] || failed=1
done

{
    printf '##### relfisher %s, driver %s\n' "$(cat "$here/commit")" "$driver"
    printf '%s\n' "${table[@]}"
    if [ -f "$out/parity.log" ]; then
        tail -n 1 "$out/parity.log"
    fi
    if [ -f "$out/bench.log" ]; then
        sed -n '/^== ratios/,$p' "$out/bench.log"
    fi
    if [ $failed -eq 0 ]; then echo "##### all right"; else echo "##### FAILED"; fi
} | tee "$out/summary.txt"
exit $failed
