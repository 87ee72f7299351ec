import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import { isFields } from "../kube/fields.ts";
import type { KubeObject } from "../kube/object.ts";
import type { Problem } from "../registry/model/problem.ts";
import { bounded, pageNames, type PlaneAsked } from "./archive/plane-pages.ts";
import { type ClusterFacts, type FileFacts, type KindFacts, kindName, type PageFacts } from "./cluster-facts.ts";
import { FACT_KINDS, isFact } from "./facts-kinds.ts";
import { inTurns } from "./in-turns.ts";
import { FACT_PAGES } from "./read-pages.ts";
import { reducedObject, withoutSecrets } from "./reduced-object.ts";

const PAGES_AT_ONCE = 4;
/** What a cluster that is folders holds: its objects are those of the facts, and the page is none of them. */
export const OBJECTS_PAGE = "objectz";
const TRUST_PAGE = "trustz";
const NO_API_SERVER = { clockSkewMs: undefined, rights: [] };
const UNMEASURED = { clockSkewMs: undefined, rights: undefined };
const FILES: FileFacts = { origins: new Map(), faults: [], unknownKinds: [], declared: false, embedded: true };

/** A control plane on this machine, by its admin port. */
export interface LocalPlane {
  /** As `control plane http://127.0.0.1:15014`. */
  readonly title: string;
  /** Its cluster, as it left it in its state folder; empty of a trust manager, undefined if nobody but itself says it. */
  readonly cluster: string | undefined;
  readonly clock: Clock;
  ask(path: string, signal: AbortSignal): Promise<string>;
}

type Fields = Readonly<Record<string, unknown>>;
type Pages = ReadonlyMap<string, PageFacts>;

/**
 * What a control plane on this machine says of its cluster and of itself; all of the cluster, if that is folders. Never
 * throws: of one that does not answer it is said why.
 * @param which pages: those that are judged, or all that there are.
 */
export async function readLocalCluster(
  plane: LocalPlane,
  which: "judged" | "all",
  signal: AbortSignal,
): Promise<ClusterFacts> {
  const asked = { clock: plane.clock, signal, ask: plane.ask };
  const head = { source: plane.title, context: undefined, readAt: plane.clock.now() };
  try {
    const there = await pageNames(asked);
    const judged: ReadonlySet<string> = new Set([...FACT_PAGES, TRUST_PAGE]);
    const names = there.filter((name) => name !== OBJECTS_PAGE && (which === "all" || judged.has(name)));
    const pages = new Map(
      await inTurns(names, PAGES_AT_ONCE, async (name) => [name, await pageOf(asked, name)] as const),
    );
    const held = there.includes(OBJECTS_PAGE) ? fieldsOf(await bodyAt(asked, OBJECTS_PAGE)) : {};
    const config = fieldsOf(bodyOf(pages.get("configz")));
    const pod = `${text(config["systemNamespace"]) ?? "istio-system"}/${text(config["podName"]) ?? "istiod"}`;
    const cluster = text(held["cluster"]) ?? ownCluster(pages) ?? plane.cluster ?? "cluster";
    const planes = [{ pod, pages }];
    if (held["embedded"] !== true) return { ...head, cluster, kinds: new Map(), planes, measured: UNMEASURED };
    return { ...head, cluster, planes, measured: NO_API_SERVER, ...objectsOf(held) };
  } catch (thrown) {
    const unread = messageOf(thrown);
    const cluster = plane.cluster || "unknown";
    return { ...head, cluster, kinds: new Map(), planes: [], measured: UNMEASURED, files: FILES, unread };
  }
}

/** True of the facts of a trust manager, which has pages, and no cluster of which anything could be judged. */
export const isTrustManager = ({ kinds, planes }: Pick<ClusterFacts, "kinds" | "planes">): boolean =>
  kinds.size === 0 && planes.some(({ pages }) => pages.has(TRUST_PAGE));

async function pageOf(asked: PlaneAsked, name: string): Promise<PageFacts> {
  try {
    return { body: await bodyAt(asked, name) };
  } catch (thrown) {
    if (asked.signal.aborted) throw thrown;
    return { why: messageOf(thrown) };
  }
}

/** @throws MeshError or SyntaxError if there is no answer, or none that is JSON. */
const bodyAt = async (asked: PlaneAsked, name: string): Promise<unknown> =>
  withoutSecrets(JSON.parse(await bounded(asked, `/debug/${name}`)));

const bodyOf = (page: PageFacts | undefined): unknown => (page !== undefined && "body" in page ? page.body : undefined);

/** Its list of clusters begins with its own. */
function ownCluster(pages: Pages): string | undefined {
  const clusters = bodyOf(pages.get("clusterz"));
  const first = fieldsOf(Array.isArray(clusters) ? clusters[0] : undefined);
  if (text(first["id"]) !== undefined) return text(first["id"]);
  return (
    text(fieldsOf(bodyOf(pages.get("configz")))["clusterId"]) ?? (pages.has(TRUST_PAGE) ? "trust-manager" : undefined)
  );
}

/** All kinds are known, be it that there are none. @throws MeshError if the page is none of ours. */
function objectsOf({ objects, problems, unknownKinds }: Fields): Pick<ClusterFacts, "kinds" | "files"> {
  if (!Array.isArray(objects)) throw new MeshError("unavailable", `/debug/${OBJECTS_PAGE} has no list of objects`);
  const origins = new Map<KubeObject, string>();
  for (const entry of (objects as readonly unknown[]).filter(isFields)) {
    const object = entry["object"];
    if (!isObject(object) || !isFact(object)) continue;
    origins.set(reducedObject(object), text(entry["origin"]) ?? "");
  }
  const kinds = FACT_KINDS.map((type): [string, KindFacts] => [
    kindName(type),
    {
      objects: [...origins.keys()].filter(
        ({ kind, apiVersion }) => kind === type.kind && groupOf(apiVersion) === type.group,
      ),
    },
  ]);
  return {
    kinds: new Map(kinds),
    files: {
      ...{ ...FILES, origins },
      faults: listOf(problems) as readonly unknown[] as readonly Problem[],
      unknownKinds: listOf(unknownKinds) as readonly unknown[] as FileFacts["unknownKinds"],
    },
  };
}

const isObject = (value: unknown): value is KubeObject =>
  isFields(value) &&
  typeof value["kind"] === "string" &&
  typeof value["apiVersion"] === "string" &&
  isFields(value["metadata"]);

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? apiVersion.split("/", 1)[0]! : "");
const listOf = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? (value as readonly unknown[]).filter(isFields) : [];
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
