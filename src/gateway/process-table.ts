import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * When a process began, in ticks since the machine did: field 22 of its `stat` (proc(5)). Undefined if there is none, or
 * if it has ended and its end was not asked for yet. ⇄
 */
export function processBegunAt(pid: number): string | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  // Its name stands in brackets, and may hold spaces and brackets itself.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === undefined || state === "" || state === "Z" || state === "X" ? undefined : fields[18];
}

/**
 * The one process in our network that was started with this file as one of its arguments; undefined if there is none, or
 * if there are several: which is meant nobody knows. ⇄
 */
export function processWithArgument(file: string): number | undefined {
  const network = linkOf("/proc/self/ns/net");
  if (network === undefined) return undefined;
  const found = readdirSync("/proc")
    .filter((name) => /^[1-9]\d*$/.test(name))
    .filter((pid) => textOf(`/proc/${pid}/cmdline`).split("\0").includes(file))
    .filter((pid) => linkOf(`/proc/${pid}/ns/net`) === network);
  return found.length === 1 ? Number(found[0]) : undefined;
}

/** Processes end while we look. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
