internal import CCurl
internal import Glibc

/// The one thread that runs a client's transfers.
enum CurlThread {
  /// Linux shows at most 15 bytes of it.
  static let name = "drover-curl"

  private final class Start: Sendable {
    let mailbox: Mailbox
    let idleConnections: Int

    init(mailbox: Mailbox, idleConnections: Int) {
      self.mailbox = mailbox
      self.idleConnections = idleConnections
    }
  }

  /// Starts the thread; one that cannot start closes the mailbox with the reason.
  static func start(_ mailbox: Mailbox, idleConnections: Int) {
    let start = Unmanaged.passRetained(Start(mailbox: mailbox, idleConnections: idleConnections))
    var thread = pthread_t()
    let failure = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        CurlThread.run(start.mailbox, idleConnections: start.idleConnections)
        return nil
      }, start.toOpaque())
    guard failure != 0 else {
      pthread_detach(thread)
      return
    }
    start.release()
    mailbox.stop(.init(code: .unusable, message: "pthread_create: \(String(cString: strerror(failure)))"))
    end(mailbox, running: [])
  }

  private static func run(_ mailbox: Mailbox, idleConnections: Int) {
    drover_curl_name_thread(name)
    blockSignals()
    end(mailbox, running: serve(mailbox, idleConnections: idleConnections))
  }

  /// Runs transfers until the mailbox ends, leaves no handle behind, and returns what was in flight.
  private static func serve(_ mailbox: Mailbox, idleConnections: Int) -> [Transfer] {
    do {
      let multi = try CurlMulti(idleConnections: idleConnections)
      mailbox.attach(multi.waker)
      do {
        while let commands = mailbox.take() {
          for command in commands { carryOut(command, multi) }
          for completion in try multi.perform() { completion.transfer.job.finish(completion.outcome) }
          try multi.wait()
        }
      } catch {
        mailbox.stop(.init(error))
      }
      // Before the handle goes: no other thread may wake it after that.
      mailbox.detach()
      return multi.removeAll()
    } catch {
      mailbox.stop(.init(error))
      return []
    }
  }

  private static func carryOut(_ command: Mailbox.Command, _ multi: CurlMulti) {
    switch command {
    case .start(let job):
      do {
        try multi.add(Transfer(job))
      } catch {
        job.finish(.failure(error))
      }
    case .cancel(let id):
      // Absent when it ended in the meantime.
      multi.remove(id: id)?.job.fail(.cancelled)
    }
  }

  private static func end(_ mailbox: Mailbox, running: [Transfer]) {
    let (end, unstarted) = mailbox.drain()
    for job in running.map(\.job) + unstarted { job.fail(end) }
    mailbox.close()
  }

  /// Leaves signals to the program's own threads.
  ///
  /// OpenSSL writes to its sockets without MSG_NOSIGNAL, so SIGPIPE would end the process. Faults stay deliverable.
  private static func blockSignals() {
    var signals = sigset_t()
    sigfillset(&signals)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { sigdelset(&signals, fault) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
  }
}
