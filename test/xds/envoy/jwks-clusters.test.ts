import assert from "node:assert/strict";
import { test } from "mocha";
import { jwksClusters } from "../../../src/xds/envoy/jwks-clusters.ts";
import { envoy } from "../../../src/xds/envoy/message.ts";
import { policies } from "../../conformance/waypoint-kit.ts";

test("keys are fetched once for each server, and from whom its certificate says that it is", () => {
  const urls = [
    "https://b.example/keys",
    "http://a.example:8080/x",
    "https://b.example:443/other",
    "https://[2001:db8::1]/k",
  ];
  const rules = urls.map((url) => ({
    ...TOKEN,
    keys: { kind: "url" as const, url, timeoutMs: 1_000, refreshMs: 1_000 },
  }));
  const clusters = jwksClusters(policies([], [{ name: "shop/t", rules }]));
  assert.deepEqual(
    clusters.map(({ name }) => name),
    ["jwks|https|2001:db8::1|443", "jwks|https|b.example|443", "jwks|http|a.example|8080"],
  );
  const { UpstreamTlsContext } = envoy.extensions.transport_sockets.tls.v3;
  const tls = clusters.map(
    ({ transportSocket }) => transportSocket && UpstreamTlsContext.decode(transportSocket.typedConfig!.value!),
  );
  assert.deepEqual(
    tls.map((context) => [
      context?.sni,
      context?.commonTlsContext?.validationContext?.matchTypedSubjectAltNames?.[0]?.matcher?.exact,
    ]),
    [
      ["", "2001:db8::1"],
      ["b.example", "b.example"],
      [undefined, undefined],
    ],
  );
});

const TOKEN = {
  issuer: "https://b.example",
  audiences: [],
  fromHeaders: [],
  fromParams: [],
  fromCookies: [],
  forwardToken: true,
  payloadHeader: "",
  claimHeaders: [],
  spaceDelimitedClaims: [],
};
