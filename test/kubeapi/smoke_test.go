package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/watch"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	clientspdy "k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/utils/exec"
)

// start runs bin/kubeapi until it is ready; stop ends it as a harness would.
func start(t *testing.T, args ...string) (config *restclient.Config, client *kubernetes.Clientset, stop func()) {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	cmd := exec.Command("bin/kubeapi", append([]string{"--port=0", "--kubeconfig-out=" + kubeconfig}, args...)...)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "already") && !strings.Contains(err.Error(), "Wait was") {
			t.Errorf("unclean stop: %v", err)
		}
	}
	t.Cleanup(stop)
	line, _ := bufio.NewReader(out).ReadString('\n')
	if !strings.HasPrefix(line, "kubeapi ready") {
		t.Fatalf("not ready: %q", line)
	}
	config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	check(t, err)
	config.QPS = -1
	client, err = kubernetes.NewForConfig(config)
	check(t, err)
	return config, client, stop
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "c", Image: "nginx"}}},
	}
}

func TestInformerAndWrites(t *testing.T) {
	_, client, _ := start(t)
	ctx := context.Background()
	pods := client.CoreV1().Pods("default")
	events := make(chan string, 100)
	factory := informers.NewSharedInformerFactory(client, 0)
	record := func(kind string, obj any) {
		events <- kind + " " + obj.(*corev1.Pod).Name + " " + obj.(*corev1.Pod).Labels["v"]
	}
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { record("add", obj) },
		UpdateFunc: func(_, obj any) { record("update", obj) },
		DeleteFunc: func(obj any) { record("delete", obj) },
	})
	check(t, err)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-events:
			if got != want {
				t.Fatalf("event %q, want %q", got, want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no event, want %q", want)
		}
	}

	p, err := pods.Create(ctx, pod("a"), metav1.CreateOptions{})
	check(t, err)
	expect("add a ")
	p.Labels["v"] = "1"
	stale := p.DeepCopy()
	_, err = pods.Update(ctx, p, metav1.UpdateOptions{})
	check(t, err)
	expect("update a 1")
	if _, err := pods.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("stale update: %v", err)
	}
	for v, patch := range map[string]struct {
		kind types.PatchType
		body string
	}{
		"2": {types.StrategicMergePatchType, `{"metadata":{"labels":{"v":"2"}}}`},
		"3": {types.MergePatchType, `{"metadata":{"labels":{"v":"3"}}}`},
		"4": {types.JSONPatchType, `[{"op":"replace","path":"/metadata/labels/v","value":"4"}]`},
	} {
		_, err = pods.Patch(ctx, "a", patch.kind, []byte(patch.body), metav1.PatchOptions{})
		check(t, err)
		expect("update a " + v)
	}
	_, err = pods.Apply(ctx, corev1apply.Pod("a", "default").WithLabels(map[string]string{"v": "5"}), metav1.ApplyOptions{FieldManager: "x", Force: true})
	check(t, err)
	expect("update a 5")
	status := p.DeepCopy()
	status.ResourceVersion, status.Status.Phase, status.Labels["v"], status.Spec.NodeName = "", corev1.PodRunning, "6", "other"
	got, err := pods.UpdateStatus(ctx, status, metav1.UpdateOptions{})
	check(t, err)
	if got.Status.Phase != corev1.PodRunning || got.Spec.NodeName != "node-1" {
		t.Errorf("status update: %+v", got)
	}
	expect("update a 6")
	for selector, want := range map[string]int{"spec.nodeName=node-1": 1, "status.phase=Pending": 0, "metadata.name=a,status.phase!=Failed": 1} {
		list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: selector})
		check(t, err)
		if len(list.Items) != want {
			t.Errorf("%s: %d pods", selector, len(list.Items))
		}
	}
	check(t, pods.Delete(ctx, "a", metav1.DeleteOptions{}))
	expect("delete a 6")

	// Finalizers, and a namespace that takes its content along.
	_, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	check(t, err)
	held := pod("")
	held.GenerateName, held.Finalizers = "held-", []string{"example.com/hold"}
	held, err = client.CoreV1().Pods("n").Create(ctx, held, metav1.CreateOptions{})
	check(t, err)
	check(t, client.CoreV1().Namespaces().Delete(ctx, "n", metav1.DeleteOptions{}))
	if _, err := client.CoreV1().Pods("n").Create(ctx, pod("late"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("create in a terminating namespace: %v", err)
	}
	time.Sleep(time.Second)
	held, err = client.CoreV1().Pods("n").Get(ctx, held.Name, metav1.GetOptions{})
	check(t, err)
	if held.DeletionTimestamp == nil {
		t.Error("the held pod is not terminating")
	}
	_, err = client.CoreV1().Pods("n").Patch(ctx, held.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	check(t, err)
	for range 50 {
		if _, err = client.CoreV1().Namespaces().Get(ctx, "n", metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the namespace is still there: %v", err)
}

func TestPagesBookmarksAndGone(t *testing.T) {
	dir := t.TempDir()
	_, client, stop := start(t, "--data-dir="+dir)
	ctx := context.Background()
	for i := range 25 {
		_, err := client.CoreV1().Pods("default").Create(ctx, pod(fmt.Sprint("p", i)), metav1.CreateOptions{})
		check(t, err)
	}
	seen, options := 0, metav1.ListOptions{Limit: 10}
	for {
		list, err := client.CoreV1().Pods("default").List(ctx, options)
		check(t, err)
		seen += len(list.Items)
		if options.Continue = list.Continue; list.Continue == "" {
			break
		}
	}
	if seen != 25 {
		t.Errorf("%d pods in pages", seen)
	}
	w, err := client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{SendInitialEvents: new(true), AllowWatchBookmarks: true, ResourceVersionMatch: "NotOlderThan"})
	check(t, err)
	for n := 0; ; n++ {
		e := <-w.ResultChan()
		if e.Type == watch.Bookmark {
			if end := e.Object.(*corev1.Pod).Annotations["k8s.io/initial-events-end"]; n != 25 || end != "true" {
				t.Errorf("bookmark after %d events: %q", n, end)
			}
			break
		}
	}
	stop()

	// After a restart the old resource versions are gone from the watch cache.
	_, client, _ = start(t, "--data-dir="+dir)
	list, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	check(t, err)
	if len(list.Items) != 25 {
		t.Errorf("%d pods after a restart", len(list.Items))
	}
	w, err = client.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{ResourceVersion: list.Items[3].ResourceVersion})
	check(t, err)
	if e := <-w.ResultChan(); e.Type != watch.Error || e.Object.(*metav1.Status).Code != 410 {
		t.Errorf("watch from before the restart: %+v", e)
	}
}

func TestTokensAndRBAC(t *testing.T) {
	config, client, _ := start(t, "--authorization-mode=RBAC")
	ctx := context.Background()
	p := pod("a")
	p.Spec.ServiceAccountName = "default"
	p, err := client.CoreV1().Pods("default").Create(ctx, p, metav1.CreateOptions{})
	check(t, err)
	issue := func(audience string) string {
		r, err := client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			Audiences: []string{audience}, BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "a", UID: p.UID}}}, metav1.CreateOptions{})
		check(t, err)
		return r.Status.Token
	}
	review := func(token, audience string) authenticationv1.TokenReviewStatus {
		r, err := client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}}}, metav1.CreateOptions{})
		check(t, err)
		return r.Status
	}
	token := issue("mesh")
	s := review(token, "mesh")
	if extra, _ := json.Marshal(s.User.Extra); !s.Authenticated || s.User.Username != "system:serviceaccount:default:default" || !strings.Contains(string(extra), "node-1") {
		t.Errorf("review: %+v", s)
	}
	if s := review(token, "other"); s.Authenticated {
		t.Errorf("review for another audience: %+v", s)
	}

	config = restclient.CopyConfig(config)
	config.BearerToken = issue(issuer)
	sa, err := kubernetes.NewForConfig(config)
	check(t, err)
	list := func() error { _, err := sa.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); return err }
	if err := list(); !apierrors.IsForbidden(err) {
		t.Errorf("list without a role: %v", err)
	}
	_, err = client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "read"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}}}}, metav1.CreateOptions{})
	check(t, err)
	_, err = client.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "read"},
		RoleRef:  rbacv1.RoleRef{Kind: "ClusterRole", Name: "read"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "default"}}}, metav1.CreateOptions{})
	check(t, err)
	time.Sleep(500 * time.Millisecond)
	check(t, list())
	var usage struct {
		Rules []struct {
			Binding, Role, Verb, Resource string
			Allowed                       int
		}
		Denied []struct {
			User, Verb, Resource string
			Count                int
		}
	}
	raw, err := client.RESTClient().Get().AbsPath("/debug/rbac-usage").DoRaw(ctx)
	check(t, err)
	check(t, json.Unmarshal(raw, &usage))
	if r := usage.Rules; len(r) != 1 || r[0].Allowed != 1 || r[0].Binding != "RoleBinding/default/read" || r[0].Role != "ClusterRole/read" {
		t.Errorf("used: %s", raw)
	}
	if d := usage.Denied; len(d) != 1 || d[0].Count != 1 || d[0].Verb != "list" || d[0].User != "system:serviceaccount:default:default" {
		t.Errorf("denied: %s", raw)
	}
	if _, err := sa.RESTClient().Get().AbsPath("/debug/rbac-usage").DoRaw(ctx); !apierrors.IsForbidden(err) {
		t.Errorf("usage for a stranger: %v", err)
	}

	check(t, client.CoreV1().Pods("default").Delete(ctx, "a", metav1.DeleteOptions{}))
	if s := review(token, "mesh"); s.Authenticated {
		t.Errorf("review after the pod is gone: %+v", s)
	}
	if err := list(); !apierrors.IsUnauthorized(err) {
		t.Errorf("list after the pod is gone: %v", err)
	}
}

func TestLocalPods(t *testing.T) {
	config, client, _ := start(t, "--local-pods")
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	log := filepath.Join(t.TempDir(), "log")
	check(t, os.WriteFile(log, []byte("one\ntwo\nthree\n"), 0o600))
	p := pod("here")
	p.Annotations = map[string]string{
		portAnnotation + "80": listener.Addr().String(), portAnnotation + "81": "10.0.0.1:80",
		execAnnotation + "c": `{"sh":["/bin/sh"]}`, logAnnotation + "c": log,
	}
	_, err = client.CoreV1().Pods("default").Create(ctx, p, metav1.CreateOptions{})
	check(t, err)

	for lines, want := range map[int64]string{0: "", 1: "three\n", 2: "two\nthree\n", 9: "one\ntwo\nthree\n"} {
		got, err := client.CoreV1().Pods("default").GetLogs("here", &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
		check(t, err)
		if string(got) != want {
			t.Errorf("%d lines: %q, want %q", lines, got, want)
		}
	}

	at := func(subresource string) *url.URL {
		return client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name("here").SubResource(subresource).URL()
	}
	location := at("exec")
	location.RawQuery = url.Values{"command": {"sh", "-c", "cat; exit 3"}, "stdin": {"true"}, "stdout": {"true"}}.Encode()
	webSocket, err := remotecommand.NewWebSocketExecutor(config, "GET", location.String())
	check(t, err)
	spdy, err := remotecommand.NewSPDYExecutor(config, "POST", location)
	check(t, err)
	for name, executor := range map[string]remotecommand.Executor{"WebSocket": webSocket, "SPDY": spdy} {
		var out strings.Builder
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("in"), Stdout: &out})
		if exit, ok := err.(utilexec.ExitError); !ok || exit.ExitStatus() != 3 || out.String() != "in" {
			t.Errorf("exec over %s: %v, %q", name, err, out.String())
		}
	}

	if _, err := (runs{p, "c"}).address(81); err == nil || !strings.Contains(err.Error(), "not on loopback") {
		t.Errorf("an address off this machine: %v", err)
	}
	transport, upgrader, err := clientspdy.RoundTripperFor(config)
	check(t, err)
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(at("portforward"), config)
	check(t, err)
	for name, dialer := range map[string]httpstream.Dialer{
		"SPDY": clientspdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", at("portforward")), "WebSocket": tunnel,
	} {
		ready, done := make(chan struct{}), make(chan struct{})
		forward, err := portforward.New(dialer, []string{"0:80", "0:81"}, done, ready, io.Discard, io.Discard)
		check(t, err)
		go func() { _ = forward.ForwardPorts() }()
		<-ready
		ports, err := forward.GetPorts()
		check(t, err)
		read := func(port uint16) string {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			check(t, err)
			defer conn.Close()
			got, _ := io.ReadAll(conn)
			return string(got)
		}
		if got := read(ports[0].Local); got != "hello" {
			t.Errorf("port-forward over %s: %q", name, got)
		}
		if got := read(ports[1].Local); got != "" {
			t.Errorf("port-forward off this machine over %s: %q", name, got)
		}
		close(done)
	}
}
