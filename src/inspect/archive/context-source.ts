import { messageOf } from "../../errors.ts";
import type { Clock } from "../../host.ts";
import { isFields } from "../../kube/fields.ts";
import type { KubeObject } from "../../kube/object.ts";
import { PODS } from "../../kube/resource-types.ts";
import { timeLimit } from "../../time-limit.ts";
import type { ClusterAccess } from "../cluster-access.ts";
import { type ClusterFacts, objectsOf } from "../cluster-facts.ts";
import { inTurns } from "../in-turns.ts";
import { gatewayOfPod, isCniPod, isControlPlanePod, isZtunnelPod } from "../mesh-pods.ts";
import { readCluster } from "../read-cluster.ts";
import { adminPort } from "../read-pages.ts";
import { planePieces } from "./plane-pages.ts";
import { fileName, type GatheringOptions, type Piece, type ReportSource } from "./report-source.ts";

/** What a container wrote, and how many are asked: nobody reads more, and nobody mails more. */
const LOG_BYTES_MAX = 2 * 1024 * 1024;
const LOGS_MAX = 300;
const LOGS_AT_ONCE = 6;
const LOG_MS = 20_000;
const EVENTS_MAX = 1_000;

interface Container {
  readonly pod: KubeObject;
  readonly container: string;
  /** It has run before, and ended. */
  readonly restarted: boolean;
}

/** A cluster that is reached with a context of a kubeconfig. */
export function contextSource(clock: Clock, access: ClusterAccess): ReportSource {
  return {
    title: access.context === "" ? "the current context" : `context ${access.context}`,
    facts: ({ signal, progress }) => readCluster(clock, access, { signal, progress }),
    async *pieces(facts, options) {
      for (const { pod, pages } of facts.planes) {
        options.progress(`reading the pages of ${pod}`);
        const at = podOf(facts, pod);
        if (at === undefined) continue;
        const ask = (path: string, signal: AbortSignal): Promise<string> => access.page(adminPort(at), path, signal);
        yield* planePieces(
          { clock, signal: options.signal, ask },
          `planes/${pod.replace("/", "_")}`,
          new Set(pages.keys()),
        );
      }
      yield* logPieces(clock, access, facts, options);
      for (const namespace of namespacesOf(facts, options)) yield* await eventPieces(access, namespace, options);
    },
    plan: (facts, options) => [
      ...facts.planes.map(({ pod }) => `every debug page, the metrics and the version of ${pod}`),
      ...containersOf(facts, options).map(
        ({ pod, container }) =>
          `the log of ${pod.metadata.namespace}/${pod.metadata.name} (${container}), the last ${options.sinceSeconds} s of it, at most ${LOG_BYTES_MAX >> 20} MiB`,
      ),
      ...namespacesOf(facts, options).map((namespace) => `events in ${namespace}`),
    ],
    close: () => access.close(),
  };
}

const podOf = (facts: ClusterFacts, name: string): KubeObject | undefined =>
  objectsOf(facts, PODS).find(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name}` === name);

/** Control planes, ztunnels, CNI agents and proxies of Gateways; of other namespaces that were named, everything. */
function podsOf(facts: ClusterFacts, namespaces: readonly string[]): readonly KubeObject[] {
  return objectsOf(facts, PODS).filter(
    (pod) =>
      isControlPlanePod(pod) ||
      isZtunnelPod(pod) ||
      isCniPod(pod) ||
      gatewayOfPod(pod) !== "" ||
      namespaces.includes(pod.metadata.namespace ?? ""),
  );
}

/** Control planes first, for where there are too many. */
function containersOf(facts: ClusterFacts, { namespaces }: GatheringOptions): readonly Container[] {
  const pods = [...podsOf(facts, namespaces)].sort(
    (a, b) => Number(isControlPlanePod(b)) - Number(isControlPlanePod(a)),
  );
  return pods.flatMap((pod) => {
    const status = isFields(pod["status"]) ? pod["status"]["containerStatuses"] : undefined;
    const spec = isFields(pod["spec"]) ? pod["spec"]["containers"] : undefined;
    const restarted = (name: string): boolean =>
      named(status).some((each) => each["name"] === name && Number(each["restartCount"]) > 0);
    return named(spec).map(({ name }) => ({ pod, container: name, restarted: restarted(name) }));
  });
}

type Named = Readonly<Record<string, unknown>> & { readonly name: string };
const named = (list: unknown): readonly Named[] =>
  Array.isArray(list)
    ? (list as readonly unknown[]).filter((each): each is Named => isFields(each) && typeof each["name"] === "string")
    : [];

const namespacesOf = (facts: ClusterFacts, { namespaces }: GatheringOptions): readonly string[] =>
  [...new Set([...podsOf(facts, namespaces).map(({ metadata }) => metadata.namespace ?? ""), ...namespaces])].sort();

async function* logPieces(
  clock: Clock,
  access: ClusterAccess,
  facts: ClusterFacts,
  options: GatheringOptions,
): AsyncIterable<Piece> {
  const containers = containersOf(facts, options);
  const wanted = containers
    .slice(0, LOGS_MAX)
    .flatMap((each) => (each.restarted ? [each, { ...each, previous: true }] : [each]))
    .map((each) => ({ previous: false, ...each }));
  options.progress(`reading ${wanted.length} logs of ${facts.cluster}`);
  // A few at a time: all of them at once would be held in memory.
  for (let at = 0; at < wanted.length; at += LOGS_AT_ONCE)
    yield* await inTurns(wanted.slice(at, at + LOGS_AT_ONCE), LOGS_AT_ONCE, (each) =>
      readLog(clock, access, each, options),
    );
  for (const { pod, container } of containers.slice(LOGS_MAX))
    yield { path: logPath(pod, container, false), why: `there are more than ${LOGS_MAX} logs; name fewer namespaces` };
}

async function readLog(
  clock: Clock,
  access: ClusterAccess,
  { pod, container, previous }: Container & { readonly previous: boolean },
  { sinceSeconds, signal }: GatheringOptions,
): Promise<Piece> {
  const path = logPath(pod, container, previous);
  using limit = timeLimit(clock, LOG_MS, signal);
  const { name, namespace = "" } = pod.metadata;
  const request = { container, previous, sinceSeconds, limitBytes: LOG_BYTES_MAX };
  try {
    return { path, text: await access.logs({ name, namespace }, request, limit.signal) };
  } catch (thrown) {
    return { path, why: limit.signal.aborted ? `it did not come within ${LOG_MS / 1_000} s` : messageOf(thrown) };
  }
}

const logPath = ({ metadata }: KubeObject, container: string, previous: boolean): string =>
  `logs/${fileName(`${metadata.namespace ?? ""}_${metadata.name}`)}/${fileName(container)}${previous ? ".previous" : ""}.log`;

async function eventPieces(
  access: ClusterAccess,
  namespace: string,
  { signal }: GatheringOptions,
): Promise<readonly Piece[]> {
  const path = `events/${fileName(namespace)}.json`;
  const url = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events?limit=${EVENTS_MAX}`;
  try {
    return [
      { path, text: JSON.stringify(await access.api.call({ method: "GET", path: url, deadlineMs: LOG_MS }, signal)) },
    ];
  } catch (thrown) {
    return [{ path, why: messageOf(thrown) }];
  }
}
