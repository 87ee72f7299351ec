import { MeshError, messageOf } from "../../errors.ts";
import type { Clock } from "../../host.ts";
import { isFields } from "../../kube/fields.ts";
import { timeLimit } from "../../time-limit.ts";
import { inTurns } from "../in-turns.ts";
import { fileName, type Piece } from "./report-source.ts";

/** For one page, in milliseconds. */
const PAGE_MS = 10_000;
const PAGES_AT_ONCE = 4;
const PAGE_CHARACTERS_MAX = 64 * 1024 * 1024;
/** Names that are explained. */
const HOSTS_MAX = 100;
/** They want to know of whom. */
const NEED_A_QUESTION: ReadonlySet<string> = new Set(["list", "config_dump", "explain"]);

/** How one control plane is asked. */
export interface PlaneAsked {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What it answers to a GET of `path`. */
  ask(path: string, signal: AbortSignal): Promise<string>;
}

/** The debug pages that a control plane has. @throws MeshError */
export async function pageNames(plane: PlaneAsked): Promise<readonly string[]> {
  const list: unknown = JSON.parse(await bounded(plane, "/debug/list"));
  const names = Array.isArray(list)
    ? (list as readonly unknown[]).map((page) => (isFields(page) ? page["name"] : ""))
    : [];
  return names.filter(
    (name): name is string => typeof name === "string" && /^[\w-]{1,60}$/.test(name) && !NEED_A_QUESTION.has(name),
  );
}

/** What `path` answers, within bounds. @throws MeshError, or what `ask` throws. */
export async function bounded({ clock, signal, ask }: PlaneAsked, path: string): Promise<string> {
  using limit = timeLimit(clock, PAGE_MS, signal);
  try {
    const text = await ask(path, limit.signal);
    if (text.length <= PAGE_CHARACTERS_MAX) return text;
    throw new MeshError("exhausted", `${path} has ${text.length} characters, which is too much`);
  } catch (thrown) {
    if (!limit.signal.aborted || signal.aborted) throw thrown;
    throw new MeshError("timeout", `${path} did not come within ${PAGE_MS / 1_000} s`);
  }
}

/** The pages that are not known yet, metrics, the version, and what it explains of each global name. Never throws. */
export async function* planePieces(plane: PlaneAsked, place: string, known: ReadonlySet<string>): AsyncIterable<Piece> {
  const names = await pageNames(plane).catch((thrown: unknown) => messageOf(thrown));
  if (typeof names === "string") yield { path: `${place}/list.json`, why: names };
  const pages = typeof names === "string" ? [] : names.filter((name) => !known.has(name));
  const asked = [
    ...pages.map((name) => ({ path: `${place}/${name}.json`, url: `/debug/${name}` })),
    { path: `${place}/metrics.txt`, url: "/metrics" },
    { path: `${place}/version.json`, url: "/version" },
  ];
  yield* await piecesOf(plane, asked);
  const hosts = await globalHosts(plane);
  const explained = hosts.map((host) => ({
    path: `${place}/explain/${fileName(host)}.json`,
    url: `/debug/explain?${new URLSearchParams({ host }).toString()}`,
  }));
  yield* await piecesOf(plane, explained);
}

function piecesOf(
  plane: PlaneAsked,
  asked: readonly { readonly path: string; readonly url: string }[],
): Promise<readonly Piece[]> {
  return inTurns(asked, PAGES_AT_ONCE, async ({ path, url }): Promise<Piece> => {
    try {
      return { path, text: await bounded(plane, url) };
    } catch (thrown) {
      return { path, why: messageOf(thrown) };
    }
  });
}

/** Names under which several clusters have a service: what is asked about most. */
async function globalHosts(plane: PlaneAsked): Promise<readonly string[]> {
  try {
    const services: unknown = JSON.parse(await bounded(plane, "/debug/registryz"));
    const hosts = Array.isArray(services)
      ? (services as readonly unknown[]).map((service) => (isFields(service) ? service["hostname"] : ""))
      : [];
    const named = hosts.filter((host): host is string => typeof host === "string" && host.endsWith(".mesh.internal"));
    return [...new Set(named)].sort().slice(0, HOSTS_MAX);
  } catch {
    // That the page could not be had is said where it is asked for by itself.
    return [];
  }
}
