import assert from "node:assert/strict";
import { test } from "mocha";
import { entryTemplate, rendered, type TemplateFacts } from "../../../src/registry/kube/entry-template.ts";

const FACTS: TemplateFacts = {
  place: { trustDomain: "east.example", clusterName: "east", clusterDomain: "cluster.local" },
  pod: { namespace: "shop", name: "cart-0", uid: "u-1", serviceAccount: "cart", node: "n1" },
  labels: new Map([
    ["app", "cart"],
    ["app.kubernetes.io/name", "the-cart"],
  ]),
  nodeUid: () => "n-uid",
};

function filledIn(text: string): string {
  const template = entryTemplate(text);
  assert.equal(template.unsupported, "");
  const made = rendered(template, FACTS);
  return "text" in made ? made.text : `no text: ${made.why}`;
}

test("a template names the mesh, the pod, its account and its node as SPIRE's controller does", () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      "spiffe://{{ .TrustDomain }}/ns/{{ .PodMeta.Namespace }}/sa/{{ .PodSpec.ServiceAccountName }}",
      "spiffe://east.example/ns/shop/sa/cart",
    ],
    ["{{.ClusterName}}.{{.ClusterDomain}}", "east.cluster.local"],
    [
      "{{ .PodMeta.Name }} {{ .PodMeta.UID }} {{ .PodSpec.NodeName }} {{ .NodeMeta.Name }} {{ .NodeMeta.UID }}",
      "cart-0 u-1 n1 n1 n-uid",
    ],
    ["{{ .PodMeta.Labels.app }}", "cart"],
    ['{{ index .PodMeta.Labels "app.kubernetes.io/name" }}', "the-cart"],
    ["{{ index .PodMeta.Labels `app` }}", "cart"],
    ["no action at all", "no action at all"],
  ];
  for (const [text, expected] of cases) assert.equal(filledIn(text), expected, text);
});

test("marks that trim white space trim it, on their side only", () => {
  assert.equal(filledIn("a  {{- .ClusterName }}  b"), "aeast  b");
  assert.equal(filledIn("a  {{ .ClusterName -}}  b"), "a  eastb");
});

test("a label that is absent is empty for index, as in Go, and no text as a field", () => {
  assert.equal(filledIn('x{{ index .PodMeta.Labels "team" }}y'), "xy");
  assert.equal(filledIn("{{ .PodMeta.Labels.team }}"), "no text: the pod has no label team");
});

test("what is not rendered here is named, with what is", () => {
  for (const action of [
    ".PodMeta.Annotations.team",
    "if .PodMeta.Labels.app",
    ".PodMeta.Name | printf",
    "",
    'index .PodMeta.Labels "a" "b"',
    ".TrustDomain.Name",
  ]) {
    const { unsupported } = entryTemplate(`spiffe://{{ .TrustDomain }}/{{ ${action} }}`);
    assert.ok(
      unsupported.startsWith(`uses {{ ${action} }}, which is not rendered here; use .TrustDomain, `),
      unsupported,
    );
  }
  assert.equal(entryTemplate("a {{ .TrustDomain").unsupported, 'has "{{ .TrustDomain", which no }} closes');
});
