import { formatDuration } from "../duration.ts";
import type { EpochMs } from "../host.ts";
import type { TrustState } from "../manager/policy.ts";
import type { ManagedClusterView, RootView, TrustView } from "../manager/view.ts";
import { printable } from "../printable.ts";
import { type Row, table } from "./table.ts";

const CLUSTER_HEADERS = ["CLUSTER", "LINK", "ISSUER", "SIGNED-UNTIL", "ROOTS", "NOTE"];
/** Longer than cells of tables: a plan that is cut off helps nobody. */
const LINE_CHARACTERS_MAX = 2_000;
const DIGITS = 8;
/** What a clock may be off before certificates are refused for it (contract identity.md 6, number 7). */
const SKEW_MAX_MS = 30_000;

/** Whether somebody has to do something. A change of the root that goes on is nothing wrong, nor a cluster yet to come. */
export function isTroubled({ policy, rotation, clusters, objects }: TrustView): boolean {
  return (
    policy === undefined ||
    isWrong(policy.state) ||
    rotation.phase === "refused" ||
    objects.some(({ state }) => isWrong(state)) ||
    clusters.some((cluster) => isWrong(cluster.state) || cluster.link === "away" || cluster.problems.length > 0)
  );
}

const isWrong = (state: TrustState): boolean => state !== "ACCEPTED" && state !== "PENDING";

/** For people: the policy, each cluster, then what a change of the root waits for, and who was refused. */
export function trustStatusText(view: TrustView): string {
  const clusters =
    view.clusters.length === 0
      ? "no cluster is registered: apply a KubernetesCluster for each\n"
      : table(
          CLUSTER_HEADERS,
          view.clusters.map((cluster) => clusterRow(cluster, view.now)),
        );
  const parts = [policyPart(view), clusters, ...rootsPart(view.roots), rotationPart(view), ...objectsPart(view)];
  return [...parts, ...refusedPart(view)].join("\n");
}

function policyPart({ policy }: TrustView): string {
  if (policy === undefined) return "there is no RootTrustPolicy: apply one\n";
  const { title, state, messages, source } = policy;
  return lines([`${title}: ${state}, ${source}`, ...messages.map((message) => `  ${message}`)]);
}

function clusterRow(cluster: ManagedClusterView, now: EpochMs): Row {
  const { link, heardAt, issuer, notAfter, roots, signingRoot } = cluster;
  const age = heardAt === undefined || link === "connected" ? "" : ` ${formatDuration(Math.max(0, now - heardAt))}`;
  return [
    cluster.cluster,
    `${link}${age}`,
    signingRoot === undefined ? "-" : `${issuer} (${signingRoot.slice(0, DIGITS)})`,
    notAfter === undefined ? "-" : timeOf(notAfter),
    roots.map((root) => root.slice(0, DIGITS)).join(" ") || "-",
    noteOf(cluster),
  ];
}

/** What is wrong comes before what is waited for. */
function noteOf(cluster: ManagedClusterView): string {
  const { state, messages, problems, waits, restarts, skewMs, current, reported } = cluster;
  const skewed = skewMs !== undefined && Math.abs(skewMs) > SKEW_MAX_MS;
  const notes = [
    ...(state === "ACCEPTED" ? [] : [state]),
    ...(skewed ? [`its clock is ${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? "ahead" : "behind"}`] : []),
    ...[...problems, ...messages, ...waits, ...restarts],
    ...(reported && !current ? ["its last order is not carried out yet"] : []),
  ];
  return notes.join("; ") || "-";
}

function rootsPart(roots: readonly RootView[]): readonly string[] {
  if (roots.length === 0) return [];
  const rows = roots.map(({ sha256, subject, role, notAfter }) => [
    subject,
    sha256.slice(0, DIGITS),
    role,
    timeOf(notAfter),
  ]);
  return [table(["ROOT", "SHA-256", "ROLE", "ENDS"], rows)];
}

const rotationPart = ({ rotation: { phase, notes } }: TrustView): string =>
  lines([`rotation: ${phase}`, ...notes.map((note) => `  ${note}`)]);

const objectsPart = ({ objects }: TrustView): readonly string[] =>
  objects.length === 0
    ? []
    : [lines(objects.map(({ title, state, messages }) => `${title}: ${state}: ${messages.join("; ")}`))];

function refusedPart({ refused }: TrustView): readonly string[] {
  if (refused.length === 0) return [];
  const callers = refused.map(
    ({ cluster, from, at, why }) => `  ${timeOf(at)}  ${cluster || "?"} from ${from}: ${why}`,
  );
  return [lines(["refused callers:", ...callers])];
}

const lines = (texts: readonly string[]): string =>
  `${texts.map((text) => printable(text, LINE_CHARACTERS_MAX)).join("\n")}\n`;
export const timeOf = (time: EpochMs): string => new Date(time).toISOString().replace(/\.\d+/, "");
