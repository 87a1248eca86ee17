package testengine;

import @@group@@.bpm.engine.delegate.JavaDelegate;
import @@group@@.bpm.engine.impl.util.ClockUtil;
import @@group@@.bpm.engine.rest.security.auth.ProcessEngineAuthenticationFilter;
import @@group@@.bpm.engine.rest.security.auth.impl.HttpBasicAuthenticationProvider;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.Filter;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.boot.web.servlet.ServletRegistrationBean;
import org.springframework.context.annotation.Bean;

/** A real engine with its REST API, a clock that tests can move and a delegate that can be told to fail. */
@SpringBootApplication
public class Engine {

  /** What the delegate does in one activity: how many more runs fail (negative: all), how long each run takes. */
  record Fault(int times, long delayMs) {}

  private final Map<String, Fault> faults = new ConcurrentHashMap<>();

  public static void main(String[] arguments) {
    SpringApplication.run(Engine.class, arguments);
  }

  /** {@code --test.auth=true}: Basic authentication against the engine's own users, and authorization. */
  @Bean
  @ConditionalOnProperty(name = "test.auth", havingValue = "true")
  FilterRegistrationBean<Filter> authentication() {
    var registration = new FilterRegistrationBean<Filter>(new ProcessEngineAuthenticationFilter());
    registration.addInitParameter("authentication-provider", HttpBasicAuthenticationProvider.class.getName());
    registration.addUrlPatterns("/engine-rest/*");
    registration.setAsyncSupported(true);
    return registration;
  }

  /** {@code camunda:delegateExpression="${faultyDelegate}"}: behaves as POST /test/faults told for its activity id. */
  @Bean
  JavaDelegate faultyDelegate() {
    return execution -> {
      String name = execution.getCurrentActivityId();
      Fault fault = faults.get(name);
      if (fault == null) {
        return;
      }
      Thread.sleep(fault.delayMs());
      if (fault.times() != 0) {
        faults.put(name, new Fault(fault.times() - 1, fault.delayMs()));
        throw new IllegalStateException("told to fail in " + name);
      }
    };
  }

  /**
   * POST /test/clock {"offsetMs": n} sets the engine's clock n ms ahead of real time (0 resets it);
   * POST /test/faults {"name": activityId, "times": n, "delayMs": m} tells the delegate; DELETE /test/faults forgets all.
   */
  @Bean
  ServletRegistrationBean<HttpServlet> testControl(ObjectMapper mapper) {
    var servlet = new HttpServlet() {
      @Override
      protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        JsonNode body = mapper.readTree(request.getInputStream());
        switch (request.getPathInfo()) {
          case "/clock" -> {
            long offset = body.path("offsetMs").asLong();
            if (offset == 0) {
              ClockUtil.reset();
            } else {
              ClockUtil.offset(offset);
            }
          }
          case "/faults" -> faults.put(
              body.path("name").asText(), new Fault(body.path("times").asInt(), body.path("delayMs").asLong()));
          default -> {
            response.setStatus(404);
            return;
          }
        }
        response.setStatus(204);
      }

      @Override
      protected void doDelete(HttpServletRequest request, HttpServletResponse response) {
        faults.clear();
        response.setStatus(204);
      }
    };
    return new ServletRegistrationBean<>(servlet, "/test/*");
  }
}
