import { durationOf, envoy } from "./message.ts";
import { AGENT } from "./resource-names.ts";

type ConfigSource = envoy.config.core.v3.ConfigSource.$Properties;

const { V3 } = envoy.config.core.v3.ApiVersion;

/** The control plane, over the one stream of the bootstrap. Without a time limit: nothing is used half. */
export const ADS: ConfigSource = { ads: {}, resourceApiVersion: V3, initialFetchTimeout: durationOf(0) };

/** The proxy's agent. Its secrets never leave the pod. */
export const FROM_AGENT: ConfigSource = {
  apiConfigSource: {
    apiType: envoy.config.core.v3.ApiConfigSource.ApiType.DELTA_GRPC,
    transportApiVersion: V3,
    grpcServices: [{ envoyGrpc: { clusterName: AGENT } }],
  },
  resourceApiVersion: V3,
  initialFetchTimeout: durationOf(0),
};
