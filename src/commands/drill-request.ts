import { type CommandCall, type Options, textOption, UsageError } from "../command.ts";
import { MeshError, messageOf } from "../errors.ts";
import { adminPort } from "../inspect/read-pages.ts";
import { isControlPlanePod } from "../inspect/mesh-pods.ts";
import { objectsOf } from "../inspect/cluster-facts.ts";
import { isFields } from "../kube/fields.ts";
import { PODS } from "../kube/resource-types.ts";
import type { DrillTarget } from "../linking/drill-objects.ts";
import { nameOf } from "../linking/side.ts";
import { printable } from "../printable.ts";
import { durationOf } from "../registry/kube/duration.ts";
import { adminUrl, fetchPage } from "./admin-client.ts";
import type { DrillView, ServiceShares } from "./drill-view.ts";
import type { OpenSide } from "./link-tools.ts";

const FOR_MAX_MS = 24 * 3_600_000;
const FOR_MIN_MS = 10_000;

export function drillTarget(options: Options): DrillTarget {
  const [peer, service] = [textOption(options, "peer"), textOption(options, "service")];
  if ((peer === undefined) === (service === undefined))
    throw new UsageError("say what is drained: either --peer with the name of a cluster, or --service as shop/cart");
  if (peer !== undefined) return { kind: "peer", peer };
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(service!) ?? [];
  if (namespace === undefined || name === undefined)
    throw new UsageError(`--service is "${printable(service!, 80)}": give its namespace and name, as shop/cart`);
  return { kind: "service", namespace, name };
}

/** In milliseconds. */
export function drillLength(options: Options): number {
  const text = textOption(options, "for");
  if (text === undefined) throw new UsageError("--for is missing: how long the drill takes, as 10m; at most 24h");
  const refuse = (why: string): UsageError => new UsageError(`--for is "${printable(text, 40)}": ${why}`);
  let ms: number | undefined;
  try {
    ms = durationOf(text, "--for");
  } catch {
    throw refuse("give a time as 10m or 1h30m");
  }
  if (ms === undefined || ms < FOR_MIN_MS) throw refuse("it takes at least 10s, or nobody would see it");
  if (ms > FOR_MAX_MS) throw refuse("it takes at most 24h; what is to stay longer is no drill");
  return ms;
}

/** What a control plane of the cluster says of its drains. @throws MeshError if none can be asked. */
export async function askDrains(
  { access, side }: OpenSide,
  target: DrillTarget | undefined,
  { progress, signal }: Pick<CommandCall, "progress" | "signal">,
): Promise<DrillView> {
  const query = new URLSearchParams();
  if (target?.kind === "peer") query.set("peer", target.peer);
  else if (target !== undefined) query.set("service", `${target.namespace}/${target.name}`);
  const pods = objectsOf(side.facts, PODS).filter((pod) => isControlPlanePod(pod) && isRunning(pod));
  let why = `no running pod labelled app=istiod is in namespace ${side.system}`;
  for (const pod of pods) {
    progress(`asking pod ${pod.metadata.name} of ${nameOf(side)}`);
    try {
      const answer: unknown = JSON.parse(
        await access.page(adminPort(pod), `/debug/drainz?${query.toString()}`, signal),
      );
      if (isDrillView(answer)) return answer;
      why = `pod ${pod.metadata.name} does not know /debug/drainz: it is of an older release, or no Causeway`;
    } catch (thrown) {
      why = messageOf(thrown);
    }
  }
  throw new MeshError("unavailable", `the control plane of ${nameOf(side)} cannot be asked: ${why}`);
}

/** The same of a control plane on this machine, by the folder of its state. @throws UsageError, MeshError */
export async function askDrainsHere(call: CommandCall): Promise<DrillView> {
  const other = ["context", "contexts", "kubeconfig"].find((name) => call.options[name] !== undefined);
  if (other !== undefined) throw new UsageError(`--state says where to ask, and so does --${other}: give one of them`);
  const admin = await adminUrl(call);
  const answer = await fetchPage(admin, "/debug/drainz", call.signal);
  if (isDrillView(answer)) return answer;
  throw new MeshError("unavailable", `${admin} does not know /debug/drainz: it is of an older release, or no Causeway`);
}

/**
 * Services of which only what is to be drained has endpoints that calls end at. A service is drained for its peers, too, so of
 * the others only those count that peers hear of (docs/drill.md).
 */
export const loneServices = (
  { services }: DrillView,
  drained: ReadonlySet<string>,
  kind: DrillTarget["kind"],
): readonly string[] =>
  services
    .filter(
      ({ clusters }) =>
        clusters.some(({ cluster, ready }) => drained.has(cluster) && ready > 0) &&
        !takersOf(clusters, kind).some(({ cluster }) => !drained.has(cluster)),
    )
    .map(({ service }) => service);

function takersOf(clusters: ServiceShares["clusters"], kind: DrillTarget["kind"]): ServiceShares["clusters"] {
  const called = clusters.filter((share) => share.called && share.ready > 0);
  if (kind === "peer") return called;
  // A cluster may be a peer and have a remote secret as well.
  const peers = new Set(clusters.filter(({ via }) => via !== "secret").map(({ cluster }) => cluster));
  return called.filter(({ cluster }) => peers.has(cluster));
}

function isRunning(pod: { readonly [field: string]: unknown }): boolean {
  const { status, metadata } = pod;
  return (
    isFields(status) &&
    status["phase"] === "Running" &&
    isFields(metadata) &&
    metadata["deletionTimestamp"] === undefined
  );
}

const isDrillView = (answer: unknown): answer is DrillView =>
  isFields(answer) && Array.isArray(answer["drains"]) && Array.isArray(answer["services"]);
