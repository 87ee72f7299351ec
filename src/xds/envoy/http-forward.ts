import type { HttpAction, HttpRule, WeightedBackend } from "../../registry/model/http-rule.ts";
import { headerChanges } from "./header-changes.ts";
import { retryPolicy } from "./http-retries.ts";
import { durationOf, envoy, wrapped } from "./message.ts";
import { pathChange } from "./path-change.ts";
import { outboundName } from "./resource-names.ts";

type RouteAction = envoy.config.route.v3.RouteAction.$Properties;
type Mirror = envoy.config.route.v3.RouteAction.RequestMirrorPolicy.$Properties;
type ClusterWeight = envoy.config.route.v3.WeightedCluster.ClusterWeight.$Properties;
type Forward = Extract<HttpAction, { kind: "forward" }>;

/** No cluster has this name, and a request for one that is not there is answered with 500. */
const NO_CLUSTER = "refused";

/** @throws MeshError `invalid` */
export function forwardAction(rule: HttpRule, { backends, rewrite }: Forward): RouteAction {
  return {
    ...clustersOf(backends, rule),
    clusterNotFoundResponseCode: envoy.config.route.v3.RouteAction.ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR,
    // Streams are common, so what nobody has limited has no limit; Envoy's own would be 15 s.
    timeout: durationOf(rule.timeoutMs ?? 0),
    retryPolicy: retryPolicy(rule.retry),
    requestMirrorPolicies: rule.mirrors.map(mirrorPolicy),
    ...pathChange(rewrite?.path, rule),
    ...(rewrite?.hostname !== undefined && { hostRewriteLiteral: rewrite.hostname }),
  };
}

function clustersOf(backends: readonly WeightedBackend[], rule: HttpRule): RouteAction {
  const used = backends.filter(({ weight }) => weight > 0);
  const [first] = used;
  if (used.length === 1 && first !== undefined && isPlain(first)) return { cluster: clusterName(first) };
  return { weightedClusters: { clusters: used.map((backend) => clusterWeight(backend, rule)) } };
}

const clusterName = ({ backend }: WeightedBackend): string =>
  backend === "refused" ? NO_CLUSTER : outboundName(backend);

const isPlain = ({ requestHeaders, responseHeaders }: WeightedBackend): boolean =>
  [requestHeaders, responseHeaders].every(({ set, add, remove }) => set.length + add.length + remove.length === 0);

function clusterWeight(backend: WeightedBackend, rule: HttpRule): ClusterWeight {
  const request = headerChanges(backend.requestHeaders, rule, "the request headers of a backend");
  const response = headerChanges(backend.responseHeaders, rule, "the response headers of a backend");
  return {
    name: clusterName(backend),
    weight: wrapped(backend.weight),
    requestHeadersToAdd: request.toAdd,
    requestHeadersToRemove: request.toRemove,
    responseHeadersToAdd: response.toAdd,
    responseHeadersToRemove: response.toRemove,
  };
}

const mirrorPolicy = ({ backend, perMillion }: HttpRule["mirrors"][number]): Mirror => ({
  cluster: outboundName(backend),
  runtimeFraction: {
    defaultValue: { numerator: perMillion, denominator: envoy.type.v3.FractionalPercent.DenominatorType.MILLION },
  },
  disableShadowHostSuffixAppend: true,
});
