package testengine;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Flowable with its REST API at /process-api and nobody to log in: it listens on 127.0.0.1 only. */
@SpringBootApplication
public class Flowable {
  public static void main(String[] arguments) {
    SpringApplication.run(Flowable.class, arguments);
  }
}
