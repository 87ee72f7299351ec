import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { Mirror } from "../../src/kube/mirror.ts";
import { PagedList } from "../../src/kube/paged-list.ts";
import { PODS } from "../../src/kube/resource-types.ts";
import { Shelf } from "./reflector-lab.ts";

const item = (name: string, rest: object = {}) => ({
  metadata: { name, namespace: "shop", uid: `u-${name}`, ...rest },
});
const page = (items: unknown, metadata: object = {}) => ({
  kind: "PodList",
  metadata: { resourceVersion: "12", ...metadata },
  items,
});

function begin() {
  const shelf = new Shelf();
  const list = new PagedList(new Mirror(PODS, undefined, shelf));
  return { shelf, list };
}

test("a list is complete with the page that names no other, as of the version of its first", () => {
  const { shelf, list } = begin();
  assert.equal(list.page(page([item("a")], { continue: "t1" })), undefined);
  assert.equal(list.continue, "t1");
  assert.equal(list.page(page([item("b")], { resourceVersion: "13" })), "12");
  assert.deepEqual(shelf.told, ["set shop/a", "set shop/b"]);
  assert.equal(begin().list.page(page(null)), "12", "Go writes an empty list as null");
});

const bad: readonly [what: string, body: unknown, why: RegExp][] = [
  ["nothing", undefined, /kind is no List/],
  ["a web page", "<html>", /kind is no List/],
  ["a Status", { kind: "Status", metadata: {} }, /kind is no List/],
  ["no items", page(undefined), /no items/],
  ["items that are no list", page({}), /no items/],
  ["no version", { kind: "PodList", metadata: {}, items: [] }, /resourceVersion/],
  ["the version abc", page([], { resourceVersion: "abc" }), /resourceVersion/],
  ["a negative version", page([], { resourceVersion: "-1" }), /resourceVersion/],
  ["the version 0", page([], { resourceVersion: "0" }), /resourceVersion/],
  ["a version that is a number", page([], { resourceVersion: 12 }), /resourceVersion/],
  ["a token that is no text", page([], { continue: 7 }), /token/],
  ["an item without metadata", page([item("a"), { spec: {} }]), /item \(1\) that is no object/],
  ["an item that is null", page([null]), /item \(0\) that is no object/],
  ["an item without a name", page([item("")]), /no object of this kind with a name/],
  ["an item without a namespace", page([{ metadata: { name: "a" } }]), /no object of this kind/],
  ["one item twice", page([item("a"), item("a")]), /listed before: shop\/a/],
  ["one uid twice", page([item("a"), item("b", { uid: "u-a" })]), /uid of another one: shop\/b/],
];

for (const [what, body, why] of bad)
  test(`a page with ${what} fails the list, and nothing of the page is believed`, () => {
    const { shelf, list } = begin();
    assert.throws(
      () => list.page(body),
      (error) => error instanceof MeshError && why.test(error.message),
    );
    assert.deepEqual(shelf.told, []);
  });

test("lists that would never end are ended: a token that comes again, pages of nothing, pages without end", () => {
  const again = begin();
  again.list.page(page([item("a")], { continue: "t" }));
  assert.throws(() => again.list.page(page([item("b")], { continue: "t" })), /one continue token twice/);
  const empty = begin();
  let at = 0;
  const turn = () => empty.list.page(page([], { continue: `t${(at += 1)}` }));
  assert.throws(() => {
    while (at < 1_000) turn();
  }, /empty pages/);
  assert.ok(at < 20);
  const endless = begin();
  let pages = 0;
  assert.throws(() => {
    while (pages < 10_000) endless.list.page(page([item(`p${(pages += 1)}`)], { continue: `t${pages}` }));
  }, /4000 pages/);
});
