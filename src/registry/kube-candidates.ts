import { objectKey, type ClusterId } from "../names.ts";
import { usableWays } from "./coalesced-workloads.ts";
import {
  excluded,
  recordKey,
  type Candidate,
  type CandidateInputs,
  type CandidateQuestion,
  type Exclusion,
} from "./global-candidate.ts";
import { timeOfDrain } from "./drains.ts";
import { isMembersName, isShadowed } from "./global-members.ts";
import { kubePorts } from "./global-ports.ts";
import type { KubeService } from "./kube/service.ts";
import { DEFAULT_NETWORK } from "./workload-shape.ts";

interface Endpoints {
  readonly endpoints: number;
  readonly healthy: number;
}

/** What the local cluster adds to a name, or one that a remote secret is for. */
export function kubeCandidate(question: CandidateQuestion, cluster: ClusterId, inputs: CandidateInputs): Candidate {
  const counted = endpointsOf(question, cluster, inputs);
  const via = cluster === inputs.options.localCluster ? "local" : "secret";
  return { host: question.host, cluster, via, ...counted, excluded: whyNot(question, cluster, counted, inputs) };
}

function endpointsOf({ key }: CandidateQuestion, cluster: ClusterId, inputs: CandidateInputs): Endpoints {
  const { workloadsByService, tallies, paths } = inputs;
  const network = paths.networks.get(cluster) ?? DEFAULT_NETWORK;
  const tally = tallies.get(`${network} ${key}`)?.clusters.find((each) => each.cluster === cluster);
  if (tally !== undefined) return { endpoints: tally.endpoints, healthy: tally.healthy };
  const own = workloadsByService
    .get(key)
    .filter((workload) => workload.cluster === cluster && workload.addresses.length > 0);
  return { endpoints: own.length, healthy: own.filter(({ healthy }) => healthy).length };
}

function whyNot(
  question: CandidateQuestion,
  cluster: ClusterId,
  counted: Endpoints,
  inputs: CandidateInputs,
): Exclusion | undefined {
  const { objects, paths, options } = inputs;
  if (cluster !== options.localCluster && isShadowed(paths.standings.get(cluster)))
    return excluded(
      "shadowed",
      `Cluster ${cluster} is a peer, too, and what it says as that counts; delete its remote secret.`,
    );
  const kube = objects.services.get(recordKey(cluster, question));
  const { namespace, name } = question;
  if (kube === undefined)
    return excluded("absent", `Cluster ${cluster} has no Service ${namespace}/${name}, and needs none to call it.`);
  return notShared(question, kube, inputs) ?? notReached(question, kube, counted, inputs);
}

function notShared(
  { key, host }: CandidateQuestion,
  kube: KubeService,
  { shared, owners, options }: CandidateInputs,
): Exclusion | undefined {
  const { cluster, namespace, name } = kube.id;
  const what = `Service ${namespace}/${name} of cluster ${cluster}`;
  const wish = shared.wishes.get(objectKey(cluster, namespace, name));
  // The name that its own cluster calls it by needs no sharing there.
  if (cluster === options.localCluster && owners.get(key) === `Service ${objectKey(cluster, namespace, name)}`)
    return undefined;
  if (wish === undefined)
    return excluded(
      "not exported",
      `${what} is not shared; label it, or its namespace, solo.io/service-scope: global.`,
    );
  if (wish.refused === "ExternalName")
    return excluded("ExternalName", `${what} only renames another host, so it is not shared.`);
  if (wish.refused === "HeadlessNotExported")
    return excluded(
      "headless",
      `${what} is headless, and only pods of its own cluster can be called by it; give it a cluster IP.`,
    );
  if (!wish.hosts.some((each) => each.host === host))
    return excluded(
      "other name",
      `${what} is shared as ${wish.hosts.map((each) => each.host).join(", ")}, and not as ${host}; call it by that.`,
    );
  if (isMembersName(owners.get(key), { namespace, name }, options.localCluster)) return undefined;
  return excluded(
    "name taken",
    `${host} belongs to ${owners.get(key) ?? "nobody"} here, so ${what} is not behind it; name that otherwise.`,
  );
}

function notReached(
  { port }: CandidateQuestion,
  kube: KubeService,
  { endpoints, healthy }: Endpoints,
  inputs: CandidateInputs,
): Exclusion | undefined {
  const { paths, options } = inputs;
  const { cluster, namespace, name } = kube.id;
  const what = `Service ${namespace}/${name} of cluster ${cluster}`;
  const [network, own] = [cluster, options.localCluster].map((each) => paths.networks.get(each) ?? DEFAULT_NETWORK);
  if (network !== own && usableWays(paths.gateways.get(network!) ?? []).length === 0)
    return excluded(
      "no door",
      `No gateway leads to network ${JSON.stringify(network)}, where cluster ${cluster} is; give it a Gateway of class istio-east-west.`,
    );
  const ports = kubePorts(kube).map(({ number }) => number);
  if (port !== undefined && !ports.includes(port))
    return excluded(
      "port mismatch",
      `${what} has the ports ${ports.join(", ") || "none"}, and not ${port}; add it there.`,
    );
  const drain = kube.drain && inputs.drains.states.get(`Service ${objectKey(cluster, namespace, name)}`);
  if (drain?.state === "drained" && cluster === options.localCluster && endpoints === 0)
    return excluded(
      "drained",
      `${what} is drained until ${timeOfDrain(drain.untilMs)}: under this name its endpoints get no new calls.`,
    );
  if (healthy > 0) return undefined;
  return excluded(
    "no ready pods",
    `${what} has ${endpoints} endpoints, and none is ready; look at its pods and its selector.`,
  );
}
