import assert from "node:assert/strict";
import { test } from "mocha";
import { ApiError, type WatchEvent } from "../../src/kube/api.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import { answerJson, kubeServer } from "../kits/kube-server.ts";
import { realHost } from "../kits/real-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const authority = await TestAuthority.create();

for (const protocol of ["h2", "http/1.1", "http"] as const)
  test(`a call over ${protocol} sends what it is told, and comes back parsed`, async () => {
    await using server = await kubeServer(
      authority,
      (request, response, body) => {
        const { method, url, headers } = request;
        answerJson(response, 200, { method, url, type: headers["content-type"], agent: headers["user-agent"], body });
      },
      { protocol },
    );
    const api = new HttpKubeApi(realHost(), server.connection());
    const answer = await api.call({
      method: "PATCH",
      path: "/api/v1/pods?force=true",
      body: { a: 1 },
      contentType: "application/apply-patch+yaml",
    });
    assert.deepEqual(answer, {
      method: "PATCH",
      url: "/api/v1/pods?force=true",
      type: "application/apply-patch+yaml",
      agent: "causeway/0.1.0",
      body: '{"a":1}',
    });
    await api.close();
  });

for (const protocol of ["h2", "http/1.1", "http"] as const)
  test(`a watch over ${protocol} passes events as they come, and the end`, async () => {
    await using server = await kubeServer(
      authority,
      (_, response) => {
        response.write('{"type":"ADDED","object":{"n":1}}\n{"type":"MODI');
        setTimeout(() => response.end('FIED","object":{"n":2}}\n'), 20);
      },
      { protocol },
    );
    const api = new HttpKubeApi(realHost(), server.connection());
    const events: WatchEvent[] = [];
    const end = await new Promise((resolve) =>
      api.watch("/api/v1/pods?watch=true", { onOpen() {}, onEvent: (event) => events.push(event), onEnd: resolve }),
    );
    assert.equal(end, undefined);
    assert.deepEqual(events, [
      { type: "ADDED", object: { n: 1 } },
      { type: "MODIFIED", object: { n: 2 } },
    ]);
    await api.close();
  });

test("a redirect is refused with the host it points to", async () => {
  await using server = await kubeServer(authority, (_, response) =>
    answerJson(response, 302, {}, { location: "https://evil.example:8443/x" }),
  );
  const api = new HttpKubeApi(realHost(), server.connection());
  await assert.rejects(api.call({ method: "GET", path: "/api" }), (error: ApiError) => {
    assert.match(error.message, /302, which points to the host evil.example:8443; redirects are never followed/);
    return error.status === 302;
  });
  await api.close();
});
