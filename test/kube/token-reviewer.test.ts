import assert from "node:assert/strict";
import { test } from "mocha";
import { ApiError, type ApiRequest } from "../../src/kube/api.ts";
import { KubeTokenReviewer } from "../../src/kube/token-reviewer.ts";

function reviewing(answer: () => unknown) {
  const calls: [ApiRequest, AbortSignal | undefined][] = [];
  const call = async (request: ApiRequest, signal?: AbortSignal): Promise<unknown> => {
    calls.push([request, signal]);
    return answer();
  };
  return { calls, reviewer: new KubeTokenReviewer({ server: "https://10.96.0.1:443", call }) };
}
const { signal } = new AbortController();

test("a token is reviewed by a TokenReview for the audiences", async () => {
  const { calls, reviewer } = reviewing(() => ({ kind: "TokenReview", status: { authenticated: true } }));
  assert.deepEqual(await reviewer.review("abc", ["istio-ca"], signal), { authenticated: true });
  const body = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: "abc", audiences: ["istio-ca"] },
  };
  const path = "/apis/authentication.k8s.io/v1/tokenreviews";
  assert.deepEqual(calls, [[{ method: "POST", path, body }, signal]]);
});

test("an answer without a status is no answer", async () => {
  for (const answer of [undefined, null, "ok", { kind: "TokenReview" }])
    await assert.rejects(
      reviewing(() => answer).reviewer.review("abc", [], signal),
      /https:\/\/10.96.0.1:443 answered a TokenReview without a status/,
    );
});

test("what the API server refuses to do is passed on", async () => {
  const forbidden = new ApiError("denied", "tokenreviews is forbidden", 403, "Forbidden");
  const { reviewer } = reviewing(() => {
    throw forbidden;
  });
  await assert.rejects(reviewer.review("abc", [], signal), (error) => error === forbidden);
});
