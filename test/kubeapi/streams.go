package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilproxy "k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

const (
	streamIdle     = 4 * time.Hour
	streamCreation = 30 * time.Second
)

// podStreams are the subresources of pods that the API server passes on to kubelets.
func podStreams(pods *store, authz authorizer.Authorizer) map[string]rest.Storage {
	return map[string]rest.Storage{
		"pods/log":         &podStream{pods, authz, []string{"GET"}, serveLog},
		"pods/exec":        &podStream{pods, authz, []string{"GET", "POST"}, serveExec},
		"pods/portforward": &podStream{pods, authz, []string{"GET", "POST"}, servePortForward},
	}
}

// podStream is a rest.Connecter.
type podStream struct {
	pods    *store
	authz   authorizer.Authorizer
	methods []string
	serve   func(runs, http.ResponseWriter, *http.Request, rest.Responder)
}

func (s *podStream) New() runtime.Object                               { return &corev1.Pod{} }
func (s *podStream) Destroy()                                          {}
func (s *podStream) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }
func (s *podStream) ConnectMethods() []string                          { return s.methods }

func (s *podStream) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	obj, err := s.pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := obj.(*corev1.Pod)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		container, err := containerOf(pod, req.URL.Query().Get("container"))
		if err == nil {
			err = s.mayUpgrade(ctx, req)
		}
		if err != nil {
			responder.Error(err)
			return
		}
		s.serve(runs{pod, container}, w, req, responder)
	}), nil
}

// mayUpgrade holds a WebSocket, which is a GET, to the verb of all other clients, as Kubernetes does since 1.35.
func (s *podStream) mayUpgrade(ctx context.Context, req *http.Request) error {
	if !wsstream.IsWebSocketRequest(req) {
		return nil
	}
	who, _ := request.UserFrom(ctx)
	info, _ := request.RequestInfoFrom(ctx)
	decision, reason, err := s.authz.Authorize(ctx, authorizer.AttributesRecord{
		User: who, Verb: "create", Namespace: info.Namespace, APIVersion: "v1", Resource: "pods", Subresource: info.Subresource, Name: info.Name, ResourceRequest: true,
	})
	if err != nil || decision == authorizer.DecisionAllow {
		return err
	}
	return apierrors.NewForbidden(corev1.Resource("pods/"+info.Subresource), info.Name, fmt.Errorf("user %q cannot create it: %s", who.GetName(), reason))
}

// containerOf is the one that was asked for, or the first.
func containerOf(pod *corev1.Pod, asked string) (string, error) {
	var names []string
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		names = append(names, c.Name)
	}
	switch {
	case asked == "" && len(names) > 0:
		return names[0], nil
	case slices.Contains(names, asked):
		return asked, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s: it has %s", asked, pod.Name, strings.Join(names, ", ")))
}

func servePortForward(r runs, w http.ResponseWriter, req *http.Request, responder rest.Responder) {
	var ports []int32
	for _, text := range req.URL.Query()["ports"] {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			responder.Error(apierrors.NewBadRequest(fmt.Sprintf("ports=%s is no port", text)))
			return
		}
		ports = append(ports, int32(port))
	}
	options, _ := portforward.BuildV4Options(ports)
	node := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		portforward.ServePortForward(w, req, r, r.pod.Name, string(r.pod.UID), options, streamIdle, streamCreation, portforward.SupportedProtocols)
	})
	passOn := passOnTo(node, responder)
	proxy.NewTranslatingHandler(passOn, proxy.NewTunnelingHandler(passOn), wsstream.IsWebSocketRequestWithTunnelingProtocol).ServeHTTP(w, req)
}

func serveExec(r runs, w http.ResponseWriter, req *http.Request, responder rest.Responder) {
	query := req.URL.Query()
	is := func(name string) bool { set, _ := strconv.ParseBool(query.Get(name)); return set }
	o := remotecommand.Options{Stdin: is("stdin"), Stdout: is("stdout"), Stderr: is("stderr") && !is("tty"), TTY: is("tty")}
	if !o.Stdin && !o.Stdout && !o.Stderr {
		responder.Error(apierrors.NewBadRequest("you must specify at least 1 of stdin, stdout, stderr"))
		return
	}
	node := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		remotecommand.ServeExec(w, req, r, r.pod.Name, string(r.pod.UID), r.container, query["command"], &o, streamIdle, streamCreation, remotecommand.SupportedStreamingProtocols)
	})
	translator := proxy.NewStreamTranslatorHandler(nodeURL, transportTo(node), 0, proxy.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY})
	proxy.NewTranslatingHandler(passOnTo(node, responder), translator, wsstream.IsWebSocketRequestWithStreamCloseProtocol).ServeHTTP(w, req)
}

var nodeURL = &url.URL{Scheme: "http", Host: "node", Path: "/"}

// passOnTo sends a request to a node as it is.
func passOnTo(node http.Handler, responder rest.Responder) http.Handler {
	return utilproxy.NewUpgradeAwareHandler(nodeURL, transportTo(node), false, true, errorResponder{responder})
}

type errorResponder struct{ rest.Responder }

func (r errorResponder) Error(_ http.ResponseWriter, _ *http.Request, err error) {
	r.Responder.Error(err)
}

// transportTo is the API server's way to a node: connections in memory, so that nothing listens.
func transportTo(node http.Handler) *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _ = (&http.Server{Handler: node, ReadHeaderTimeout: streamCreation}).Serve(&oneConn{theirs}) }()
		return ours, nil
	}}
}

// oneConn is a net.Listener of a connection that is there already.
type oneConn struct{ net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	conn := l.Conn
	l.Conn = nil
	if conn == nil {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "node"} }

// serveLog sends the file of a container: all of it, the last lines, or the first bytes, and with follow what is
// written later. A file has no times: one that nobody wrote to since then has nothing from since then.
func serveLog(r runs, w http.ResponseWriter, req *http.Request, responder rest.Responder) {
	query := req.URL.Query()
	number := func(name string) (int64, bool) {
		n, err := strconv.ParseInt(query.Get(name), 10, 64)
		return n, err == nil && n >= 0
	}
	if query.Get("previous") == "true" {
		responder.Error(apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", r.container, r.pod.Name)))
		return
	}
	file, err := r.log()
	if err != nil {
		responder.Error(apierrors.NewBadRequest(err.Error()))
		return
	}
	defer file.Close()
	since := time.Time{}
	if seconds, ok := number("sinceSeconds"); ok {
		since = time.Now().Add(-time.Duration(seconds) * time.Second)
	} else if t, err := time.Parse(time.RFC3339, query.Get("sinceTime")); err == nil {
		since = t
	}
	if info, err := file.Stat(); err == nil && info.ModTime().Before(since) {
		_, _ = file.Seek(0, io.SeekEnd)
	} else if lines, ok := number("tailLines"); ok {
		seekLines(file, int(lines))
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	var from io.Reader = file
	if limit, ok := number("limitBytes"); ok {
		from = io.LimitReader(file, limit)
	}
	_, _ = io.Copy(w, from)
	for query.Get("follow") == "true" {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-req.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		if _, err := io.Copy(w, from); err != nil {
			return
		}
	}
}

// seekLines goes to where the last lines begin.
func seekLines(file io.ReadSeeker, lines int) {
	all, _ := io.ReadAll(file)
	kept := all
	begin := len(all)
	for ; lines > 0 && begin > 0; lines-- {
		begin = bytes.LastIndexByte(bytes.TrimSuffix(kept, []byte{'\n'}), '\n') + 1
		kept = all[:begin]
	}
	_, _ = file.Seek(int64(begin), io.SeekStart)
}
