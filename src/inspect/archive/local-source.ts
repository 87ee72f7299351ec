import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Clock } from "../../host.ts";
import { isFields } from "../../kube/fields.ts";
import type { ClusterFacts, FileFacts, PageFacts } from "../cluster-facts.ts";
import { readFacts } from "../facts-folder.ts";
import { inTurns } from "../in-turns.ts";
import { bounded, pageNames, type PlaneAsked, planePieces } from "./plane-pages.ts";
import type { GatheringOptions, Piece, ReportSource } from "./report-source.ts";

const PAGES_AT_ONCE = 4;
const FILES_MAX = 5_000;
const FILE_BYTES_MAX = 10 * 1024 * 1024;
const NO_LOG =
  "a control plane that runs on this machine writes its log to where it was started; add what it said there";

export interface LocalPlane {
  /** As `control plane http://127.0.0.1:15014`. */
  readonly title: string;
  readonly clock: Clock;
  ask(path: string, signal: AbortSignal): Promise<string>;
}

/** Its cluster is what people wrote, and what its own controllers made of that is on its pages. */
const WRITTEN: FileFacts = { origins: new Map(), faults: [], unknownKinds: [], declared: true };

type Fields = Readonly<Record<string, unknown>>;

/** A control plane on this machine, whose cluster is folders of manifests. */
export function localSource(plane: LocalPlane): ReportSource {
  const asked = (signal: AbortSignal): PlaneAsked => ({ clock: plane.clock, signal, ask: plane.ask });
  return {
    title: plane.title,
    facts: ({ signal, progress }) => (progress(`reading ${plane.title}`), localFacts(plane, asked(signal))),
    async *pieces(facts, { signal }: GatheringOptions) {
      if (facts.unread !== undefined) return;
      const [known] = facts.planes;
      yield* planePieces(asked(signal), `planes/${known!.pod.replace("/", "_")}`, new Set(known!.pages.keys()));
      const config = configOf(facts);
      for (const [at, { folders }] of manifestsOf(config).entries())
        for (const [which, folder] of folders.entries())
          yield* manifestPieces(folder, at === 0 ? `manifests/${which}` : `manifests/other-${at}/${which}`);
      yield* addressPieces(config, facts.cluster);
      yield { path: "logs", why: NO_LOG };
    },
    plan: (facts) => [
      ...facts.planes.map(({ pod }) => `every debug page, the metrics and the version of ${pod}`),
      ...manifestsOf(configOf(facts)).flatMap(({ folders }) => folders.map((folder) => `the manifests in ${folder}`)),
    ],
    close: () => Promise.resolve(),
  };
}

async function localFacts(plane: LocalPlane, asked: PlaneAsked): Promise<ClusterFacts> {
  const head = { source: plane.title, context: undefined, readAt: plane.clock.now() };
  const measured = { clockSkewMs: undefined, rights: undefined };
  try {
    const names = await pageNames(asked);
    const pages = await inTurns(names, PAGES_AT_ONCE, async (name) => [name, await pageOf(asked, name)] as const);
    const [config, clusters] = [bodyOf(pages, "configz"), bodyOf(pages, "clusterz")];
    const name =
      localCluster(clusters) ?? text(config["clusterId"]) ?? (names.includes("trustz") ? "trust-manager" : "cluster");
    const pod = `${text(config["systemNamespace"]) ?? "istio-system"}/${text(config["podName"]) ?? "istiod"}`;
    const folders = manifestsOf(config)[0]?.folders ?? [];
    const [kinds, planes] = [await objectsIn(folders), [{ pod, pages: new Map(pages) }]];
    return { ...head, cluster: name, kinds, planes, measured, ...(folders.length > 0 ? { files: WRITTEN } : {}) };
  } catch (thrown) {
    return { ...head, cluster: "unknown", kinds: new Map(), planes: [], measured, unread: messageOf(thrown) };
  }
}

async function pageOf(asked: PlaneAsked, name: string): Promise<PageFacts> {
  try {
    return { body: JSON.parse(await bounded(asked, `/debug/${name}`)) as unknown };
  } catch (thrown) {
    return { why: messageOf(thrown) };
  }
}

/** The objects of all folders of one cluster together: those of the first that has a kind's object count. */
async function objectsIn(folders: readonly string[]): Promise<ClusterFacts["kinds"]> {
  const kinds = new Map<string, ClusterFacts["kinds"] extends ReadonlyMap<string, infer K> ? K : never>();
  for (const folder of folders) {
    const [facts] = await readFacts(folder).catch(() => []);
    for (const [kind, known] of facts?.kinds ?? []) {
      const before = kinds.get(kind);
      if (before === undefined || !("objects" in before)) kinds.set(kind, known);
      else if ("objects" in known) kinds.set(kind, { objects: [...before.objects, ...known.objects] });
    }
  }
  return kinds;
}

/** Every manifest as it was written: what makes a cluster of them anew is more than what facts keep. */
async function* manifestPieces(folder: string, place: string): AsyncIterable<Piece> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile() && /\.(?:ya?ml|json)$/i.test(entry.name) && !/^[.#]/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
    for (const path of files.sort().slice(0, FILES_MAX)) {
      const at = `${place}/${relative(folder, path).split(sep).join("/")}`;
      const { size } = await stat(path);
      if (size > FILE_BYTES_MAX) yield { path: at, why: `it is larger than ${FILE_BYTES_MAX >> 20} MiB` };
      else yield { path: at, text: await readFile(path, "utf8") };
    }
  } catch (thrown) {
    yield { path: place, why: `the manifests in ${folder} cannot be read: ${messageOf(thrown)}` };
  }
}

/** Which pod has which address: with it, a replay has the same ones. */
async function* addressPieces(config: Fields, cluster: string): AsyncIterable<Piece> {
  const stateDir = text(config["stateDir"]);
  if (stateDir === undefined) return;
  for (const [file, path] of [
    ["addresses.json", join(stateDir, "clusters", cluster, "addresses.json")],
    ["virtual-ips.json", join(stateDir, "virtual-ips.json")],
  ] as const)
    try {
      yield { path: file, text: await readFile(path, "utf8") };
    } catch (thrown) {
      // One without such names keeps no such file.
      const absent = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
      if (!absent) yield { path: file, why: messageOf(thrown) };
    }
}

const configOf = ({ planes }: ClusterFacts): Fields => bodyOf([...(planes[0]?.pages ?? [])], "configz");

function bodyOf(pages: readonly (readonly [string, PageFacts])[], name: string): Fields & readonly unknown[] {
  const page = pages.find(([each]) => each === name)?.[1];
  const body = page !== undefined && "body" in page ? page.body : {};
  return (typeof body === "object" && body !== null ? body : {}) as Fields & readonly unknown[];
}

/** The first is our own. */
function localCluster(clusters: unknown): string | undefined {
  const first: unknown = Array.isArray(clusters) ? clusters[0] : undefined;
  return isFields(first) ? (text(first["id"]) ?? text(first["cluster"])) : undefined;
}

function manifestsOf(config: Fields): readonly { readonly folders: readonly string[] }[] {
  const manifests = Array.isArray(config["manifests"]) ? (config["manifests"] as readonly unknown[]) : [];
  return manifests.filter(isFields).map(({ folder, furtherFolders }) => ({
    folders: [folder, ...(Array.isArray(furtherFolders) ? (furtherFolders as readonly unknown[]) : [])].filter(
      (each): each is string => typeof each === "string",
    ),
  }));
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
