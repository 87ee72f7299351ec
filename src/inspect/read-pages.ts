import { MeshError, messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import { isFields } from "../kube/fields.ts";
import type { Bounds } from "../kube/list-objects.ts";
import type { KubeObject } from "../kube/object.ts";
import { timeLimit } from "../time-limit.ts";
import type { ClusterAccess, PodPort } from "./cluster-access.ts";
import type { PageFacts, PlaneFacts } from "./cluster-facts.ts";
import { inTurns } from "./in-turns.ts";
import { isControlPlanePod } from "./mesh-pods.ts";
import { withoutSecrets } from "./reduced-object.ts";

/** The debug pages of a control plane that facts hold (contract operations.md 1.2). */
export const FACT_PAGES = [
  "clusterz",
  "peerz",
  "peerclientz",
  "syncz",
  "certz",
  "configz",
  "digestz",
  "networkz",
  "problemz",
  "registryz",
  "mesh",
  "relayz",
  "spirez",
  "gatewayz",
  "drainz",
] as const;

/** Of an istiod that nobody configured otherwise. */
const ADMIN_PORT = 15_014;
/** More replicas say the same again. */
const PLANES_MAX = 10;
const PAGES_AT_ONCE = 8;
const PAGE_CHARACTERS_MAX = 64 * 1024 * 1024;

/** What the control planes of a cluster say of themselves: every running pod, each page on its own. Never throws. */
export async function readPlanes(
  clock: Clock,
  access: ClusterAccess,
  pods: readonly KubeObject[],
  bounds: Bounds,
): Promise<readonly PlaneFacts[]> {
  const running = pods.filter((pod) => isControlPlanePod(pod) && isRunning(pod)).slice(0, PLANES_MAX);
  const wanted = running.flatMap((pod) => FACT_PAGES.map((page) => ({ pod, page })));
  const read = await inTurns(wanted, PAGES_AT_ONCE, async ({ pod, page }) => {
    return [page, await readPage(clock, access, adminPort(pod), page, bounds)] as const;
  });
  return running.map(({ metadata }, at) => ({
    pod: `${metadata.namespace ?? ""}/${metadata.name}`,
    pages: new Map(read.slice(at * FACT_PAGES.length, (at + 1) * FACT_PAGES.length)),
  }));
}

/** Where a control plane's pod serves its pages. */
export function adminPort({ metadata }: KubeObject): PodPort {
  const { name, namespace = "", annotations } = metadata;
  const said = Number(annotations?.["prometheus.io/port"]);
  return { namespace, name, port: Number.isInteger(said) && said > 0 && said < 65_536 ? said : ADMIN_PORT };
}

async function readPage(
  clock: Clock,
  access: ClusterAccess,
  pod: PodPort,
  page: string,
  { signal, callMs }: Bounds,
): Promise<PageFacts> {
  using limit = timeLimit(clock, callMs, signal);
  try {
    const text = await access.page(pod, `/debug/${page}`, limit.signal);
    if (text.length > PAGE_CHARACTERS_MAX) return { why: `it has ${text.length} characters, which is too much` };
    return { body: withoutSecrets(JSON.parse(text)) };
  } catch (thrown) {
    if (limit.signal.aborted) return { why: `it did not come within ${callMs / 1000} s` };
    const denied = thrown instanceof MeshError && thrown.code === "denied";
    return { why: messageOf(thrown), ...(denied && { denied }) };
  }
}

function isRunning(pod: KubeObject): boolean {
  const status = pod["status"];
  return isFields(status) && status["phase"] === "Running" && pod.metadata.deletionTimestamp === undefined;
}
