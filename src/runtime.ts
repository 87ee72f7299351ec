/** First release of each line that mends what a stranger could end the process with (contract operations.md 4.2). */
const MENDED: readonly (readonly [major: number, minor: number, patch: number])[] = [
  [20, 20, 2],
  [22, 22, 2],
  [24, 14, 1],
];
const OLDEST = MENDED[0]!;
const NEWEST_LINE = MENDED.at(-1)![0];

type Version = readonly [major: number, minor: number, patch: number];

const parse = (version: string): Version => {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return [major, minor, patch];
};

const isBefore = (a: Version, b: Version): boolean =>
  a[0] !== b[0] ? a[0] < b[0] : a[1] !== b[1] ? a[1] < b[1] : a[2] < b[2];

const shown = (versions: readonly Version[]): string => versions.map((version) => version.join(".")).join(", ");

/** Why we cannot run on this Node, as `18.20.0`, and what to do; undefined if we can. */
export function whyNotNode(version: string): string | undefined {
  if (!isBefore(parse(version), OLDEST)) return undefined;
  return `this is Node ${version}, and ${shown([OLDEST])} is the oldest that it runs on; install a newer one`;
}

/** What strangers can do to a server on this Node; undefined if nothing that is known. */
export function knownHoles(version: string): string | undefined {
  const own = parse(version);
  const first = MENDED.find(([major]) => major === own[0]);
  if (first === undefined ? own[0] > NEWEST_LINE : !isBefore(own, first)) return undefined;
  return `Node ${version} has holes in HTTP/2 and TLS that strangers can use; run ${shown(MENDED)} or newer of these lines`;
}
