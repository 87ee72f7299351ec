import { type CommandCall, type Flag, textOption, UsageError } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { askAllPods, askOnePod } from "./admin-pods.ts";
import { readConnection } from "./connection.ts";
import { CONTEXT_FLAGS } from "./contexts.ts";

/** Flags of every command that asks a running control plane. */
export const ADMIN_FLAGS: readonly Flag[] = [
  { flags: "--admin <url>", description: "admin port of a control plane, as http://127.0.0.1:15014" },
  {
    flags: "--state <dir>",
    description: "where a control plane on this machine says how to reach it; .causeway by default",
  },
];

/** The same, for commands that can also go through a cluster's API server. */
export const PLANE_FLAGS: readonly Flag[] = [...ADMIN_FLAGS, ...CONTEXT_FLAGS];

/**
 * What the admin port answers to `path`, which must be JSON; that of one control plane if a context is named.
 * @throws UsageError if `--admin` is no URL, MeshError `unavailable` if nothing of ours answers, or what it answered.
 */
export async function fetchAdmin(call: CommandCall, path: string): Promise<unknown> {
  return goesThroughClusters(call) ? askOnePod(call, path) : fetchPage(await adminUrl(call), path, call.signal);
}

/** The same of every replica in every context that is named: each has clients of its own. */
export async function fetchAdmins(call: CommandCall, path: string): Promise<readonly unknown[]> {
  return goesThroughClusters(call) ? askAllPods(call, path) : [await fetchAdmin(call, path)];
}

/** @throws UsageError if several are named. */
export function goesThroughClusters({ options }: CommandCall): boolean {
  const [through] = ["context", "contexts", "kubeconfig"].filter((name) => options[name] !== undefined);
  const [first, second] = [...["admin", "state"].filter((name) => options[name] !== undefined), through].filter(
    Boolean,
  );
  if (second !== undefined)
    throw new UsageError(`--${first} says where to ask, and so does --${second}: give one of them`);
  return through !== undefined;
}

/** @param base the URL of an admin port. @throws MeshError as `fetchAdmin` does. */
export async function fetchPage(base: string, path: string, signal: AbortSignal): Promise<unknown> {
  return parse(new URL(path, base), await fetchText(base, path, signal));
}

/** The same for what is no JSON, as metrics. */
export async function fetchText(base: string, path: string, signal: AbortSignal): Promise<string> {
  const url = new URL(path, base);
  try {
    const response = await fetch(url, { signal, redirect: "error" });
    const text = await response.text();
    if (response.status !== 200) throw refusal(url, response.status, text);
    return text;
  } catch (thrown) {
    if (thrown instanceof MeshError || signal.aborted) throw thrown;
    throw new MeshError("unavailable", `${whyNot(base, thrown)}; start it with "causeway demo", or use --admin <url>`);
  }
}

/** @throws UsageError if `--admin` is no URL, MeshError if no control plane has left its own. */
export async function adminUrl({ options }: CommandCall): Promise<string> {
  const given = textOption(options, "admin");
  if (given === undefined) return (await readConnection(textOption(options, "state") ?? ".causeway")).admin;
  return checkedAdminUrl("--admin", given);
}

/** @throws UsageError if the value of the flag is no URL of an admin port. */
export function checkedAdminUrl(flag: string, given: string): string {
  if (/^https?:$/.test(protocolOf(given))) return given;
  throw new UsageError(`${flag} is "${printable(given, 120)}": give a URL, as http://127.0.0.1:15014`);
}

function protocolOf(url: string): string {
  try {
    return new URL(url).protocol;
  } catch {
    return "";
  }
}

function refusal(url: URL, status: number, text: string): MeshError {
  const said = printable(text.split("\n", 1)[0]!.trim(), 400);
  const code = status === 404 ? "absent" : "unavailable";
  return new MeshError(code, `${url.href} answered ${status}: ${said}`, { status, said });
}

function parse(url: URL, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new MeshError("unavailable", `${url.href} did not answer JSON: is it the admin port of a control plane?`);
  }
}

/** fetch hides the reason in the cause. */
function whyNot(base: string, thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ECONNREFUSED") return `no control plane listens at ${base}`;
  if (typeof code === "string" && code.startsWith("ERR_SSL"))
    return `${base} does not take our TLS; an admin port is http`;
  return `${base} cannot be reached (${printable(messageOf(cause), 400)})`;
}
